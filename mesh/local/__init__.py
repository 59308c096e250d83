"""One machine's Palestra: embedded stores, Envoys, processes, and their supervision.

Everything that it opens lies in one state folder, except the edge's TCP port.
Production has Kubernetes for this; no service knows which of the two runs it.
"""
