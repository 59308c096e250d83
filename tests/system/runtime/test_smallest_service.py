"""A service is declared, not wired: five lines run one, with all that every service has."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from mesh import catalog
from mesh.local import health
from mesh.local.places import ROOT
from mesh.local.spec import Health
from palestra.identity.v1 import key_service_pb2, key_service_pb2_grpc
from tests.support import mesh_calls
from tests.support.scratch import short_folder
from tests.support.stores import Stores

PROOF = "the proof of this test"
MODULE = "tests.support.smallest_service"
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT),
    *(tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER),
}


def code_lines(path: Path) -> int:
    """The lines of a module that hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return len({token.start[0] for token in tokens if token.type not in _NO_CODE})


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / "services" / each.name / "__main__.py" for each in catalog.SERVICES),
        ROOT / "tests" / "support" / "smallest_service" / "__main__.py",
    ],
    ids=lambda path: path.parent.name,
)
def test_a_services_main_is_five_lines_at_most(path: Path) -> None:
    assert 0 < code_lines(path) <= 5


@pytest.fixture
def process(stores: Stores) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The smallest service, started as the supervisor starts one, and its socket."""
    with short_folder() as folder:
        (folder / "proof").write_text(PROOF)
        socket = folder / "identity-0.sock"
        told = {
            "PALESTRA_SERVICE": "identity",
            "PALESTRA_LISTEN": f"unix:{socket}",
            "PALESTRA_MESH": f"unix:{folder}/out.sock",
            "PALESTRA_MESH_PROOF_FILE": str(folder / "proof"),
            "PALESTRA_DATABASE_URL": stores.database_url("identity"),
            "PALESTRA_REDIS_URL": stores.redis_url("identity"),
            "PALESTRA_DRAIN_S": "0.1",
        }
        with subprocess.Popen(
            [sys.executable, "-m", MODULE],
            cwd=ROOT,
            env=os.environ | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as running:
            try:
                yield running, socket
            finally:
                running.kill()


async def test_it_has_health_the_gate_and_a_drain(
    process: tuple[subprocess.Popen[str], Path],
) -> None:
    running, socket = process
    async with asyncio.timeout(20):
        async for answer in health.worker(socket)(running.pid):
            assert running.poll() is None, running.communicate()[0]
            if answer is Health.SERVING:
                break
    async with mesh_calls.channel(f"unix:{socket}") as channel:
        stub = key_service_pb2_grpc.KeyServiceStub(channel)
        request = key_service_pb2.GetKeySetRequest()
        headers = mesh_calls.headers(PROOF, "training")
        keys = (await stub.GetKeySet(request, metadata=headers, timeout=5)).keys
        assert [key.key_id for key in keys] == ["training"]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetKeySet(request, timeout=5)
        assert mesh_calls.refusal(refused.value) == "UNAUTHENTICATED/OUTSIDE_MESH"
    running.send_signal(signal.SIGTERM)
    said, _ = await asyncio.to_thread(running.communicate, timeout=10)
    assert running.returncode == 0, said
    assert "draining" in said
    assert "stopped" in said
