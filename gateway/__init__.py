"""The edge: which REST paths and methods the world may call, derived from the contract.

Owns the derivation (routes, limits, the edge's own error replies). Decides
nothing that the contract says already, and knows no type of Envoy's:
`mesh.control.resources` turns what stands here into Envoy's resources.
"""
