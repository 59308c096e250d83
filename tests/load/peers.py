"""The peers beside the stack: started, filled, compared answer by answer, ended."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from mesh.control import keys
from mesh.local import binaries
from mesh.local.credentials import ADMIN
from mesh.local.places import ROOT, read_json
from mesh.local.stores import database
from tests.load.http1 import Answer, Connection, request
from tests.load.peer import edge, rows
from tests.load.session import Refused
from tests.load.world import World, ask
from tests.support.local_stack import free_port
from tests.support.scratch import short_folder

TUNED, ORM, BEHIND = "tuned", "orm", "edge"
"""The tuned form alone, the usual form alone, the tuned form behind an edge."""
PEER, PEER_EDGE = "peer", "peer edge"
_START_S = 20.0
_STOP_S = 10.0


@asynccontextmanager
async def beside(world: World, forms: Sequence[str]) -> AsyncIterator[World]:
    """The world with those forms of the peer, which answer as Palestra does; ended with the block.

    Raises:
        Refused: one did not start, or answers otherwise.
    """
    token = (await world.reader.sign_in()).access
    paths = ["/v1/users/me/activities?pageSize=60", f"/v1/{world.hour}/streams?resolution=0"]
    listed, streams = [(await ask(world.stack, "GET", path, token=token)).json() for path in paths]
    with world.stack.database() as database:
        rows.fill(database, listed["activities"], {world.hour: streams})
    with short_folder(on_disk=True) as folder, ExitStack() as running:
        found = world
        for form in forms:
            port, processes = _start(world, form, folder, running)
            found = dataclasses.replace(
                found,
                peers={**found.peers, form: port},
                beside={**found.beside, **{f"{kind} {form}": [pid] for kind, pid in processes}},
            )
            await _check(found, form, token)
        yield found


def _start(
    world: World, form: str, folder: Path, running: ExitStack
) -> tuple[int, list[tuple[str, int]]]:
    port, socket = free_port(), folder / f"{form}.sock"
    found = keys.saved(world.stack.places.mesh / "keys.json")
    if found is None:
        raise Refused("the control plane has kept no keys yet")
    passwords: Mapping[str, str] = (read_json(world.stack.state / "secrets.json") or {})["postgres"]
    told: dict[str, object] = {
        "form": TUNED if form == BEHIND else form,
        "database_url": database.url(world.stack.places.postgres, ADMIN, passwords[ADMIN]),
        "jwks": json.loads(found.jwks()),
        "port": port,
    }
    processes = []
    if form == BEHIND:
        files = edge.certificates(folder)
        told |= {"socket": str(socket), **files["peer"]}
        config = folder / "envoy.json"
        config.write_text(
            json.dumps(edge.bootstrap(port, str(socket), files["edge"], told["jwks"]))
        )
        command = (str(binaries.envoy()), "-c", str(config), "--disable-hot-restart")
        quiet = ("--concurrency", "1", "--log-level", "error")
        processes.append((PEER_EDGE, _run([*command, *quiet], running)))
    settings = folder / f"{form}.json"
    settings.touch(0o600)
    settings.write_text(json.dumps(told))
    command = (sys.executable, "-m", "tests.load.peer", str(settings))
    processes.append((PEER, _run(command, running)))
    return port, processes


def _run(command: Sequence[str], running: ExitStack) -> int:
    process = subprocess.Popen(command, cwd=ROOT)

    def end() -> None:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    running.callback(end)
    return process.pid


async def _check(world: World, form: str, token: str) -> None:
    """The same content as Palestra's, and nothing without a token."""
    for path in (
        f"/v1/{world.hour}",
        "/v1/users/me/activities?pageSize=20",
        f"/v1/{world.hour}/streams?resolution=0",
    ):
        ours = (await ask(world.stack, "GET", path, token=token)).json()
        answer = await _answer(world.peers[form], path, token)
        theirs = answer.json() if answer.status == 200 else {}
        for page in (ours, theirs):
            page.pop("nextPageToken", None)
        if ours != theirs:
            raise Refused(f"the peer {form} answers {answer.status} otherwise to {path}")
        if (refused := await _answer(world.peers[form], path, "")).status != 401:
            raise Refused(f"the peer {form} answers {refused.status} without a token")


async def _answer(port: int, path: str, token: str) -> Answer:
    until = time.monotonic() + _START_S
    packed = request("GET", path, host=f"127.0.0.1:{port}", token=token)
    while True:
        try:
            connection = await Connection.open("127.0.0.1", port)
            try:
                answer = await connection.ask(packed)
            finally:
                connection.close()
        except OSError as error:
            if time.monotonic() > until:
                raise Refused(f"the peer at {port} does not answer") from error
        else:
            # An edge whose peer is not there yet.
            if answer.status != 503 or time.monotonic() > until:
                return answer
        await asyncio.sleep(0.1)


def groups_of(form: str) -> Mapping[str, str]:
    """What is measured where a form of the peer is: a group of the world by the name shown."""
    edges = {f"{PEER_EDGE} {form}": "edge"} if form == BEHIND else {}
    return {**edges, f"{PEER} {form}": PEER, "postgres": "postgres"}
