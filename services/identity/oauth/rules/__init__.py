"""The rules of authorisation: requests, codes, PKCE, grants, browsers that are signed in.

Decides; reads no clock, makes no randomness.
"""
