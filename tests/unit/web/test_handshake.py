"""The opening of a WebSocket: subprotocol, token, origin."""

from __future__ import annotations

import pytest

from gateway.origins import Origins
from gateway.web.settings import WebSettings
from gateway.web.telemetry import handshake
from gateway.web.telemetry.frames import Kind
from mesh.runtime.errors import MeshError

JSON, BINARY = "palestra.telemetry.v1.json", "palestra.telemetry.v1.binary"
TOKEN = "palestra.bearer.a.b-c_d"


@pytest.mark.parametrize(
    ("offered", "authorization", "kind", "token"),
    [
        ([JSON, TOKEN], "", Kind.JSON, "a.b-c_d"),
        ([TOKEN, BINARY], "", Kind.BINARY, "a.b-c_d"),
        ([BINARY, JSON, TOKEN], "", Kind.BINARY, "a.b-c_d"),
        ([JSON], "Bearer x.y.z", Kind.JSON, "x.y.z"),
        ([], "bearer x.y.z", None, "x.y.z"),
    ],
)
def test_the_first_that_is_spoken_is_chosen_and_the_token_never_answered(
    offered: list[str], authorization: str, kind: Kind | None, token: str
) -> None:
    opening = handshake.read(offered, authorization)
    assert (opening.kind, opening.token) == (kind, token)
    assert opening.subprotocol == (kind.subprotocol if kind else None)
    assert token not in repr(opening)


@pytest.mark.parametrize(
    ("offered", "authorization", "reason"),
    [
        ([TOKEN], "", "INVALID_FIELD"),
        (["mqtt", TOKEN], "", "INVALID_FIELD"),
        (["palestra.telemetry.v2.json", TOKEN], "", "INVALID_FIELD"),
        ([JSON], "", "TOKEN_MISSING"),
        ([JSON, "palestra.bearer."], "", "TOKEN_MISSING"),
        ([JSON], "Basic eDp5", "TOKEN_INVALID"),
        ([JSON, TOKEN], "Bearer x.y.z", "INVALID_FIELD"),
        ([JSON, TOKEN, "palestra.bearer.e.f.g"], "", "INVALID_FIELD"),
    ],
)
def test_an_offer_that_cannot_be_followed_is_refused(
    offered: list[str], authorization: str, reason: str
) -> None:
    with pytest.raises(MeshError) as refused:
        handshake.read(offered, authorization)
    assert refused.value.reason == reason


def allowed(origins: str) -> Origins | None:
    from pathlib import Path

    return WebSettings("", "", Path(), web_origins=origins).origins


@pytest.mark.parametrize("origin", ["https://anywhere.example", "null", ""])
def test_any_page_may_connect_unless_said_otherwise(origin: str) -> None:
    handshake.check_origin(origin, allowed("*"))


def test_only_named_pages_may_connect_and_what_is_no_page() -> None:
    named = allowed("https://palestra.example, https://app.palestra.example/")
    for origin in ("https://palestra.example", "https://APP.palestra.example", ""):
        handshake.check_origin(origin, named)
    for origin in ("https://evil.example", "https://palestra.example.evil.example", "null"):
        with pytest.raises(MeshError) as refused:
            handshake.check_origin(origin, named)
        assert refused.value.reason == "CALLER_REFUSED"
