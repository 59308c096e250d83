"""A real browser at a page of somebody else's, asked and steered over its own protocol.

Owns the start and end of the browser, and the few of its commands that tests need. What
the page complains of (scripts refused, errors thrown) is kept in `complaints`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from tests.support.browsers import CHROMIUM, FLAGS

_WITHIN_S = 30.0
_COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded")


@dataclass(eq=False)
class Tab:
    """One page of the browser."""

    line: ClientConnection
    complaints: list[str] = field(default_factory=list)
    sent: int = 0

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        self.sent += 1
        number = self.sent
        await self.line.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(_WITHIN_S):
            while True:
                said = json.loads(await self.line.recv())
                if said.get("id") == number:
                    result: dict[str, Any] = said["result"]
                    return result
                if said.get("method") in _COMPLAINTS:
                    self.complaints.append(json.dumps(said["params"]))

    async def evaluate(self, script: str) -> Any:
        """What a script, run in the page, comes to; waits for promises."""
        said = await self.command(
            "Runtime.evaluate",
            expression=f"(async () => {{ {script} }})()",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")


@asynccontextmanager
async def tab(folder: Path) -> AsyncIterator[Tab]:
    """A browser with an empty page, gone when the block is left."""
    with (folder / "browser.log").open("wb") as log:
        browser = await asyncio.create_subprocess_exec(
            *(str(CHROMIUM), *FLAGS, f"--user-data-dir={folder}"),
            *("--remote-debugging-port=0", "about:blank"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            async with connect(await _address(folder), max_size=1 << 24) as line:
                opened = Tab(line)
                for domain in ("Page", "Runtime", "Log"):
                    await opened.command(f"{domain}.enable")
                yield opened
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            await browser.wait()


async def _address(folder: Path) -> str:
    """Where the first page listens, once the browser has written down its port."""
    written = folder / "DevToolsActivePort"
    async with asyncio.timeout(_WITHIN_S), httpx.AsyncClient() as rest:
        while not written.is_file() or not written.read_text().strip():
            await asyncio.sleep(0.05)
        port = written.read_text().split()[0]
        while True:
            targets = (await rest.get(f"http://127.0.0.1:{port}/json")).json()
            pages = [each for each in targets if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)
