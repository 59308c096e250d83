"""The live cases of the access table: for each method and column, calls and what they get.

Owns what is called by whom with which token; the answer is the table's. Does not know
how a call is made: in process, or through the real edge.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from mesh import catalog, policy
from mesh.runtime.ids import user_id
from scripts import access_table
from tests.support.made_requests import request

RIGHT = user_id(0)
"""Whose things the requests name."""
OTHER = user_id(0)
STRANGER = "stranger"
"""A workload with a certificate of the mesh that the catalogue does not know."""
NAMELESS = ""
"""A workload whose certificate names none."""


class Kind(enum.Enum):
    """What is shown as a token."""

    NONE = "none"
    VALID = "valid"
    EXPIRED = "expired"
    FORGED = "forged"


@dataclass(frozen=True, slots=True)
class Token:
    """The token that a case needs."""

    kind: Kind
    user: uuid.UUID = RIGHT
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """One call, and what it is answered with."""

    method: policy.Method
    column: str
    caller: str | None
    """The calling workload; None for a call that did not come through the mesh."""
    token: Token
    expected: str
    """As in the table's cell."""

    def __str__(self) -> str:
        """The test's name."""
        return f"{self.method.path} {self.column} from {self.caller or 'nobody'}"

    @property
    def request(self) -> Message:
        """A valid request about a thing of `RIGHT`."""
        return request(self.method, RIGHT)


def cases(contract: policy.Contract) -> Iterator[Case]:
    """Every cell of the table that has a meaning, as one call or more."""
    for _, method in sorted(contract.methods.items()):
        cells = access_table.row(method)
        for column in access_table.COLUMNS:
            if cells[column] != access_table.NONE:
                for caller, token in _calls(method, column):
                    yield Case(method, column, caller, token, cells[column])


def _calls(method: policy.Method, column: str) -> Iterator[tuple[str | None, Token]]:
    scopes, roles = _needed(method)
    right = Token(Kind.VALID, RIGHT, scopes, roles)
    tokens = {
        "no_token": Token(Kind.NONE),
        "expired": Token(Kind.EXPIRED, RIGHT, scopes, roles),
        "forged": Token(Kind.FORGED, RIGHT, scopes, roles),
        "other_user": Token(Kind.VALID, OTHER, scopes, roles),
        "wrong_role": _poorer(method, right),
        "right_user": right,
    }
    if column in tokens:
        for caller in right_callers(method):
            yield caller, tokens[column]
    elif column == "wrong_service":
        for caller in wrong_callers(method):
            yield caller, right
    elif column == "past_mesh":
        yield None, right
    else:
        raise LookupError(f"nobody calls for the column {column}")


def _needed(method: policy.Method) -> tuple[frozenset[str], frozenset[str]]:
    scopes = frozenset({method.policy.scope} - {""})
    return scopes, frozenset(method.policy.roles[:1])


def _poorer(method: policy.Method, right: Token) -> Token:
    """The right token, without the one thing that the method asks for; others it has."""
    if method.policy.access == policy.ROLE:
        return Token(Kind.VALID, right.user, right.scopes, frozenset({"another-role"}))
    return Token(Kind.VALID, right.user, frozenset({"another.scope"}), right.roles)


def right_callers(method: policy.Method) -> list[str]:
    """The workloads that the contract lets call."""
    found = []
    for caller in access_table.callers(method):
        found += sorted(catalog.INSIDE) if caller == "*" else [caller]
    return found


def wrong_callers(method: policy.Method) -> list[str]:
    """All the others of the mesh, a stranger in it, and one without a name."""
    everybody = [catalog.EDGE, *sorted(catalog.INSIDE), STRANGER, NAMELESS]
    allowed = right_callers(method)
    return [caller for caller in everybody if caller not in allowed]
