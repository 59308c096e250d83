"""A real browser that runs a page of the test's own and tells what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_WITHIN_S = 60.0
_MOST_BYTES = 1 << 20
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    # Else it would leave segments behind when it is killed.
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
)


async def run_page(script: str, folder: Path) -> Any:
    """Runs `script` in a page; what it gives to `tell(value)`, as JSON has it.

    Raises:
        TimeoutError: it told nothing.
    """
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(_site(script, told), "127.0.0.1", 0, limit=_MOST_BYTES)
    port = server.sockets[0].getsockname()[1]
    with (folder / "browser.log").open("wb") as log:
        browser = await asyncio.create_subprocess_exec(
            *(str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}", f"http://127.0.0.1:{port}/"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return await asyncio.wait_for(told, _WITHIN_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            await browser.wait()
            server.close()


def _site(script: str, told: asyncio.Future[Any]) -> Any:
    tell = "const tell = value => fetch('/told', {method: 'POST', body: JSON.stringify(value)});"
    page = f"<!doctype html><script>{tell}{script}</script>".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("post /told "):
                size = int(head.split("content-length:")[1].split("\r\n")[0])
                value = json.loads(await reader.readexactly(size))
                if not told.done():
                    told.set_result(value)
            body = page if head.startswith("get / ") else b""
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            await writer.drain()
        writer.close()

    return answer
