"""The process: settings, start, drain, end.

Owns the HTTP server's bounds. On SIGTERM it says so on its health page, lets the edge
turn elsewhere, then ends what is under way within its grace.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from gateway.web.app import build
from gateway.web.host import Host
from gateway.web.settings import WebSettings
from mesh import catalog
from mesh.runtime import logs, metrics, settings
from mesh.runtime.tasks import end

if TYPE_CHECKING:
    from starlette.types import ASGIApp

BACKLOG = 2048
LARGEST_FRAME = 2 << 20
"""In bytes; a WebSocket's own bounds are lower, and are refused with more words."""
IDLE_S = 75
"""The edge gives up an idle connection long before."""
PING_S = 20.0
PONG_WITHIN_S = 60.0
"""A session that is made to wait is not read, its pongs neither."""
_log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Signals are this process's own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        SystemExit: a setting is wrong; says which.
    """
    try:
        told = settings.read(WebSettings)
    except settings.SettingsError as error:
        raise SystemExit(f"{catalog.WEB}: {error}") from None
    logs.configure(catalog.WEB, told.worker, told.log_level)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    host = Host(told)
    try:
        app = build(host)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{catalog.WEB}: {error}") from None
    uvloop.run(run(host, app))


def _is_news(record: logging.LogRecord) -> bool:
    # A WebSocket that is refused with an answer is complained of by mistake.
    return "without completing handshake" not in record.getMessage()


async def run(host: Host, app: ASGIApp) -> None:
    """Serves until told to stop."""
    told, stop = host.settings, asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = _Server(_config(app))
    exporter = await metrics.serve(told.metrics)
    listening = _listen(told.listen)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    gc.collect()
    gc.freeze()
    _log.info("serving", address=told.listen)
    beside = [asyncio.create_task(work()) for work in host.work]
    try:
        await asyncio.wait(
            [serving, waiting := asyncio.create_task(stop.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
        await _drain(host, server, told)
        await serving
    finally:
        await end(beside)
        await host.close()
        if exporter is not None:
            exporter.close()
    _log.info("stopped")


async def _drain(host: Host, server: _Server, told: WebSettings) -> None:
    _log.info("draining")
    # First the news, while whoever has not heard it is still served.
    host.leaving.set()
    await asyncio.sleep(told.drain_s)
    host.stopping.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(told.grace_s):
            await host.idle()
    server.should_exit = True


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=1,
        ws_max_size=LARGEST_FRAME,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_WITHIN_S,
        # A session's own compressor would cost more memory than all else of it.
        ws_per_message_deflate=False,
    )


def _listen(address: str) -> socket.socket:
    """The socket, taken over where an earlier process left it, for our user alone."""
    if not address.startswith("unix:"):
        raise SystemExit(f"{catalog.WEB}: PALESTRA_LISTEN is {address!r}, not unix:/path")
    path = Path(address.removeprefix("unix:"))
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(mask)
    return listening
