"""Asks an ASGI application without a server: one request, one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return orjson.loads(self.body)

    @property
    def reason(self) -> str:
        """The one ErrorInfo's reason."""
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        (info,) = (each for each in self.json["details"] if each["@type"] == kind)
        assert info["domain"] == "mesh.palestra"
        reason: str = info["reason"]
        return reason


async def ask(
    app: ASGIApp, path: str, headers: list[tuple[str, str]], verb: str = "GET", body: bytes = b""
) -> Answer:
    """Sends a request."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": verb,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": encoded,
    }
    await app(scope, receive, send)
    start, *bodies = said
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(each.get("body", b"") for each in bodies))
