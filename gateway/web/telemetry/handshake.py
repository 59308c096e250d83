"""What a WebSocket's opening says: how it speaks, who it is, whence it comes.

Owns the reading of the offered subprotocols and the refusal before anything is opened.
The token is not verified here: the edge has, and integration will.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.origins import Origins
from gateway.pages import BEARER_SUBPROTOCOL
from gateway.web.telemetry.frames import Kind
from mesh.runtime.errors import MeshError

_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Opening:
    """A WebSocket that may be opened."""

    kind: Kind | None
    """How answers are written; None where the device's first frame says it."""
    token: str = field(repr=False)

    @property
    def subprotocol(self) -> str | None:
        """What is answered to the offer; never the token."""
        return self.kind.subprotocol if self.kind else None


def read(offered: Sequence[str], authorization: str) -> Opening:
    """The opening of what was offered; `authorization` is the header's value, or empty.

    Raises:
        MeshError: INVALID_FIELD where the offer cannot be followed, TOKEN_MISSING,
            TOKEN_INVALID where the header is no bearer token.
    """
    return Opening(_kind(offered), _token(offered, authorization))


def _kind(offered: Sequence[str]) -> Kind | None:
    spoken = {kind.subprotocol: kind for kind in Kind}
    # The client's order is its preference.
    chosen = next((spoken[each] for each in offered if each in spoken), None)
    if offered and chosen is None:
        raise MeshError("INVALID_FIELD", f"offer the subprotocol {' or '.join(spoken)}")
    return chosen


def _token(offered: Sequence[str], authorization: str) -> str:
    tokens = [
        each.removeprefix(BEARER_SUBPROTOCOL)
        for each in offered
        if each.startswith(BEARER_SUBPROTOCOL)
    ]
    if authorization:
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise MeshError("TOKEN_INVALID", "the authorization is not a bearer token")
        tokens.append(authorization[len(_BEARER) :])
    if not any(tokens):
        raise MeshError("TOKEN_MISSING")
    if len(tokens) > 1:
        raise MeshError("INVALID_FIELD", "there is more than one token; give it once")
    return tokens[0]


def check_origin(origin: str, allowed: Origins | None) -> None:
    """Whether a page of `origin` may connect; what is no page has none.

    Raises:
        MeshError: CALLER_REFUSED where it may not.
    """
    if allowed is not None and origin and origin.rstrip("/").lower() not in allowed:
        raise MeshError("CALLER_REFUSED", f"pages of {origin[:100]} may not connect")
