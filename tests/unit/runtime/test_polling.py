"""gRPC's core does its work in the thread that waits for it, in processes that say so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mesh import polling
from mesh.local.places import ROOT
from tests.support.scratch import short_folder

_SERVES = """
import asyncio, resource, sys
from mesh.importing import frugally
if sys.argv[2] == "frugally":
    with frugally():
        import grpc
else:
    import grpc

async def answer(request, _):
    return request

async def main():
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"C": method}),))
    server.add_insecure_port(f"unix:{sys.argv[1]}")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{sys.argv[1]}") as channel:
        call = channel.unary_unary("/a.B/C")
        await call(b"x", wait_for_ready=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        for _ in range(CALLS):
            await call(b"x")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before)
        await (await asyncio.create_subprocess_exec("true")).wait()
    await server.stop(0)

asyncio.run(main())
"""
CALLS = 300


def switches(socket: Path, how: str, chosen: str | None = None) -> float:
    """How often a process gives its turn to another of its threads for a call to itself."""
    environment = {k: v for k, v in os.environ.items() if k != polling.SETTING}
    if chosen is not None:
        environment[polling.SETTING] = chosen
    done = subprocess.run(
        [sys.executable, "-c", _SERVES.replace("CALLS", str(CALLS)), str(socket), how],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    # Not of an experiment that it does not know, nor of a fork that it was not ready for.
    assert done.stderr == ""
    return int(done.stdout) / CALLS


def test_a_process_that_imports_frugally_changes_threads_less_often() -> None:
    with short_folder() as folder:
        socket = folder / "s"
        usual, directly = switches(socket, "as it comes"), switches(socket, "frugally")
        # Somebody's own choice holds.
        chosen = switches(socket, "frugally", "event_engine_listener")
    assert directly < 0.6 * usual
    assert directly < 0.6 * chosen
