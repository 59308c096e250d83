"""The control plane: tells both Envoys what the contract and the machine look like now.

Owns the configuration of the edge and of the node proxy, the local certificate
authority, and the record of what each proxy took or refused (`control.json`).
Decides nothing about access, deadlines or limits: those are the contract's.
It never sees a request: with it gone, traffic goes on.
"""
