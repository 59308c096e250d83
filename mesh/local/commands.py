"""The supervisor's command socket: one line of JSON asks, one line answers.

Owns its small protocol, both ends of it: `{"restart": NAME}` and `{"scale": GROUP,
"number": N, "checkout": FOLDER, "env": {…}}` are answered with `{"done": [process, …]}`
or `{"error": sentence}`. Lies in the 0700 folder.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mesh.local import rolling, scaling
from mesh.local.crew import Crew
from mesh.local.errors import StackError

_LINE_BYTES = 1 << 16
_ASK_S = 5.0


async def serve(path: Path, crew: Crew, workers: Mapping[str, int]) -> asyncio.Server:
    """Listens until the returned server is closed; `workers` is what the stack began with."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASK_S):
                line = await reader.readline()
            writer.write(json.dumps(await _answer(crew, workers, line)).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            writer.close()

    return await asyncio.start_unix_server(handle, path, limit=_LINE_BYTES)


async def _answer(crew: Crew, workers: Mapping[str, int], line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        if "restart" in asked:
            done = rolling.restart(crew, str(asked["restart"]))
        else:
            copy = scaling.copy_of(asked.get("checkout", ""), asked.get("env", {}))
            done = scaling.scale(crew, str(asked["scale"]), int(asked["number"]), copy, workers)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"error": "not a command."}
    try:
        return {"done": await done}
    except StackError as error:
        return {"error": str(error)}


def ask(path: Path, command: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Asks the running supervisor.

    Raises:
        StackError: it refused, or did not answer in time.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(limit_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(command).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline(_LINE_BYTES))
        except (OSError, ValueError) as error:
            raise StackError(f"the stack does not answer: {error}.") from error
    if "error" in answer:
        raise StackError(str(answer["error"]))
    return dict(answer)
