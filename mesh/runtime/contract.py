"""What a service may ask of the whole contract."""

from __future__ import annotations

from functools import cache

from mesh import policy
from mesh.policy import RoleWords as RoleWords  # noqa: PLC0414 - what services may name


@cache
def scopes() -> frozenset[str]:
    """Every scope that a method of the contract asks for."""
    return policy.load().scopes


def grantable_scopes() -> tuple[policy.ScopeWords, ...]:
    """Those of them that apps of others may ask for, with their words."""
    return policy.grantable_scopes()


def roles() -> tuple[RoleWords, ...]:
    """Every role that there is, with its words."""
    return policy.roles()
