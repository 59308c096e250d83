"""The handshake as the process answers it: the bound on sessions, an origin, an ending process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.origins import OriginError
from gateway.pages import TELEMETRY
from gateway.web.app import build
from gateway.web.host import Host
from gateway.web.settings import WebSettings

if TYPE_CHECKING:
    from starlette.types import Message

PROOF = "a-proof-of-the-edge"


@pytest.fixture
def settings(tmp_path: Path) -> WebSettings:
    proof = tmp_path / "proof"
    proof.write_text(PROOF)
    return WebSettings("unix:/nowhere", "unix:/nowhere", proof)


async def handshake(host: Host, *headers: tuple[str, str]) -> tuple[int, str, dict[str, str]]:
    """Status, reason and headers of the answer to a handshake that is refused."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        said.append(message)

    shown = (("x-palestra-mesh-proof", PROOF), ("authorization", "Bearer x.y.z"), *headers)
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": TELEMETRY.path,
        "raw_path": TELEMETRY.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in shown],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await build(host)(scope, receive, send)
    start, body = said
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], orjson.loads(body["body"])["details"][0]["reason"], told


async def test_beyond_its_bound_a_process_refuses_and_says_when_to_come_again(
    settings: WebSettings,
) -> None:
    full = dataclasses.replace(settings, web_most_sessions=0)
    status, reason, headers = await handshake(Host(full))
    assert (status, reason, headers["retry-after"]) == (503, "UNAVAILABLE", "5")


async def test_a_process_that_ends_takes_no_session_more(settings: WebSettings) -> None:
    host = Host(settings)
    host.stopping.set()
    status, reason, _ = await handshake(host)
    assert (status, reason) == (503, "UNAVAILABLE")


async def test_a_page_of_another_origin_is_refused(settings: WebSettings) -> None:
    named = dataclasses.replace(settings, web_origins="https://app.example")
    status, reason, _ = await handshake(Host(named), ("origin", "https://evil.example"))
    assert (status, reason) == (403, "CALLER_REFUSED")


def test_origins_that_cannot_be_read_are_told_at_the_start(settings: WebSettings) -> None:
    with pytest.raises(OriginError):
        build(Host(dataclasses.replace(settings, web_origins="not an origin")))
