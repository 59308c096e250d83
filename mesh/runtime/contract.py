"""What a service may ask of the whole contract."""

from __future__ import annotations

from mesh import policy


def scopes() -> frozenset[str]:
    """Every scope that a method of the contract asks for."""
    return policy.load().scopes
