"""How the supervisor asks stores and Envoys whether they are ready.

Decides how often to ask: often until the first yes, seldom after it. Never asks
over TCP. The gRPC servers are `health`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from mesh.local import envoy
from mesh.local.spec import Health, Probe

ANSWER_S = 5.0
"""No answer within this time is silence."""

_EAGER_S = 0.05
_CALM_S = 5.0


def polled(check: Callable[[int], Awaitable[bool]]) -> Probe:
    """A probe that repeats a check; OSError and EOF mean that nobody answers."""

    async def probe(pid: int) -> AsyncGenerator[Health, None]:
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    ready = await check(pid)
                health = Health.SERVING if ready else Health.NOT_SERVING
            except (OSError, EOFError, TimeoutError):
                health = Health.SILENT
            yield health
            await asyncio.sleep(_CALM_S if health is Health.SERVING else _EAGER_S)

    return probe


def proxy(admin: Path) -> Probe:
    """An Envoy is ready when its listeners and clusters are there (GET /ready)."""
    return page(admin, "/ready")


def page(socket: Path, path: str) -> Probe:
    """An HTTP server is ready when it answers a path with 200."""

    async def check(_pid: int) -> bool:
        return (await envoy.get(socket, path)).startswith(b"HTTP/1.1 200")

    return polled(check)


def redis(socket: Path, user: str, password: str) -> Probe:
    """Redis is ready when it has its data in memory and answers PONG."""
    login = f"*3\r\n$4\r\nAUTH\r\n${len(user)}\r\n{user}\r\n${len(password)}\r\n{password}\r\n"
    request = login.encode() + b"*1\r\n$4\r\nPING\r\n"

    async def check(_pid: int) -> bool:
        reader, writer = await asyncio.open_unix_connection(socket)
        try:
            writer.write(request)
            answers = [await reader.readuntil(b"\n"), await reader.readuntil(b"\n")]
        finally:
            writer.close()
        return answers == [b"+OK\r\n", b"+PONG\r\n"]

    return polled(check)


def postgres(data: Path) -> Probe:
    """PostgreSQL is ready when its own pid file says so, and it is of this process."""

    async def check(pid: int) -> bool:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    return polled(check)
