"""What the edge asks before a request reaches one of its own processes.

None runs here, so that what passes is answered with UNAVAILABLE.
"""

from __future__ import annotations

import time
import uuid

import httpx
import pytest

from gateway.pages import TELEMETRY
from tests.support.mesh_stack import MeshStack
from tests.system.mesh.test_edge_rest import reason

UPGRADE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PASSED = (503, 14, "UNAVAILABLE")


def ask(rest: httpx.Client, **headers: str) -> tuple[int, int, str]:
    """A handshake's answer."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return reason(rest.get(TELEMETRY.path, headers=UPGRADE | told))


@pytest.mark.parametrize(
    "offer",
    [
        # Last: Envoy reads what follows as part of the token.
        "palestra.telemetry.v1.json, palestra.bearer.{}",
        "palestra.telemetry.v1.binary,palestra.telemetry.v1.json,palestra.bearer.{}",
        "palestra.bearer.{}",
    ],
)
def test_a_websockets_token_may_stand_among_its_subprotocols(
    mesh: MeshStack, rest: httpx.Client, offer: str
) -> None:
    assert ask(rest, sec_websocket_protocol=offer.format(mesh.token())) == PASSED
    expired = mesh.token(exp=int(time.time()) - 5)
    assert ask(rest, sec_websocket_protocol=offer.format(expired)) == (401, 16, "TOKEN_EXPIRED")
    assert ask(rest, sec_websocket_protocol=offer.format("a.b.c")) == (401, 16, "TOKEN_INVALID")


def test_it_may_stand_in_the_header_too_and_nowhere_else(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    assert ask(rest, authorization=f"Bearer {mesh.token()}") == PASSED
    assert ask(rest) == (401, 16, "TOKEN_MISSING")
    answer = rest.get(f"{TELEMETRY.path}?access_token={mesh.token()}", headers=UPGRADE)
    assert reason(answer) == (401, 16, "TOKEN_MISSING")


def test_of_two_tokens_both_must_be_good(mesh: MeshStack, rest: httpx.Client) -> None:
    offer = f"palestra.telemetry.v1.json, palestra.bearer.{mesh.token()}"
    answer = ask(rest, sec_websocket_protocol=offer, authorization="Bearer a.b.c")
    assert answer == (401, 16, "TOKEN_INVALID")


def test_a_subprotocol_is_no_token_where_there_is_no_websocket(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    headers = {"sec-websocket-protocol": f"palestra.bearer.{mesh.token()}"}
    assert reason(rest.get("/v1/users/me", headers=headers)) == (401, 16, "TOKEN_MISSING")


def test_handshakes_are_limited_as_the_bridged_method_is(
    mesh: MeshStack, rest: httpx.Client
) -> None:
    limit = {"limit": {"requests": 3, "window_s": 60}}
    mesh.settle("edge", lambda: mesh.write_overrides({TELEMETRY.bridges: limit}))
    try:
        own, other = (mesh.token(sub=str(uuid.uuid4())) for _ in range(2))
        answers = [ask(rest, authorization=f"Bearer {own}") for _ in range(4)]
        assert answers == [PASSED] * 3 + [(429, 8, "OVERLOADED")]
        assert ask(rest, authorization=f"Bearer {other}") == PASSED
    finally:
        mesh.settle("edge", lambda: mesh.write_overrides({}))
