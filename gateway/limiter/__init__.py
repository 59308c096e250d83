"""Counts what all edges count together, behind Envoy's rate-limit service protocol.

Owns one gRPC server on a unix socket, the counting in Redis and what is done while Redis
is not there. What is counted, and how much is allowed, comes with each question: the edge
takes it from the contract, so that this process needs no configuration of limits at all.
Never decides who somebody is: the edge did, before it asked. Nothing depends on it: where
it is silent, the edge goes on.
"""
