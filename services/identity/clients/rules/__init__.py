"""The rules of clients: what they may be, where people are sent back to, how they prove themselves.

Decides; reads no clock, makes no randomness, knows no signature.
"""
