"""A database that is restored from a backup does not bring back who was erased since."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from mesh.local import health
from mesh.local.places import ROOT
from mesh.local.spec import Health
from mesh.runtime import Host, migrate
from mesh.runtime.clock import now
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import SealKey
from mesh.runtime.settings import SettingsError
from palestra.identity.v1 import person_key_service_pb2 as keys
from palestra.identity.v1.person_key_service_pb2_grpc import PersonKeyServiceStub
from services.identity.service import SERVICE, _sealer
from tests.support import mesh_calls
from tests.support.scratch import short_folder
from tests.support.stores import Stores
from tests.support.stores import stores as started
from tests.support.told_people import execute, register

PROOF = "the proof of this test"
KEY = SealKey(b"\1\2\3\4", b"s" * 32)
SERVING_S = 20.0


@contextmanager
def identity(stores: Stores, folder: Path) -> Iterator[Path]:
    """A process of identity, alone; its socket."""
    (folder / "proof").write_text(PROOF)
    secret = base64.b64encode(KEY.secret).decode()
    seals = {"keys": [{"id": KEY.id.hex(), "secret": secret}]}
    (folder / "seals.json").write_text(json.dumps(seals))
    socket = folder / "identity-0.sock"
    told = {
        "PALESTRA_SERVICE": "identity",
        "PALESTRA_LISTEN": f"unix:{socket}",
        "PALESTRA_MESH": f"unix:{folder}/out.sock",
        "PALESTRA_MESH_PROOF_FILE": str(folder / "proof"),
        "PALESTRA_DATABASE_URL": stores.database_url("identity"),
        "PALESTRA_REDIS_URL": stores.redis_url("identity"),
        "PALESTRA_SEAL_KEYS_FILE": str(folder / "seals.json"),
        "PALESTRA_BLOBS_URL": f"file://{folder}/blobs",
        "PALESTRA_BLOBS_KEYS_FILE": str(folder / "blob-keys.json"),
        "PALESTRA_DRAIN_S": "0.1",
    }
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "services.identity"],
            cwd=ROOT,
            env=os.environ | told,
            stdout=log,
            stderr=log,
        ) as running,
    ):
        try:
            asyncio.run(_until_serving(running, socket, folder / "log"))
            yield socket
        finally:
            running.terminate()
            running.wait(20)


async def _until_serving(running: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    async with asyncio.timeout(SERVING_S):
        async for answer in health.worker(socket)(running.pid):
            assert running.poll() is None, log.read_text()
            if answer is Health.SERVING:
                return


async def person_key(socket: Path, user: uuid.UUID) -> str:
    """The id of his key, or the refusal."""
    async with mesh_calls.channel(f"unix:{socket}") as channel:
        ask = PersonKeyServiceStub(channel).GetPersonKey
        request = keys.GetPersonKeyRequest(name=f"users/{user}")
        headers = mesh_calls.headers(PROOF, "training")
        try:
            return (await ask(request, metadata=headers, timeout=5)).key_id
        except grpc.aio.AioRpcError as error:
            return mesh_calls.refusal(error)


async def erased(url: str, user: uuid.UUID) -> None:
    """Waits until nothing is left of him here."""
    async with asyncio.timeout(SERVING_S):
        while await execute(url, "SELECT 1 FROM accounts WHERE user_id = %(u)s", {"u": user}):
            await asyncio.sleep(0.1)


async def plan(url: str, user: uuid.UUID) -> None:
    """An erasure whose grace is over, as RequestErasure would have made it."""
    values = {"u": user, "e": uuid7(), "at": now() - timedelta(days=14), "due": now()}
    await execute(
        url,
        "INSERT INTO erasures (user_id, erasure_id, state, requested_at, due_at, secret_hash,"
        " certificate, revision) VALUES (%(u)s, %(e)s, 1, %(at)s, %(due)s, 'x', '', 1)",
        values,
    )


@pytest.mark.slow
def test_whoever_was_erased_is_erased_again_before_any_call_is_answered() -> None:
    with started() as stores, short_folder() as folder:
        url = stores.database_url("identity")
        migrate.migrate(url, SERVICE.migrations)
        user, other = (asyncio.run(register(url)) for _ in range(2))
        with identity(stores, folder) as socket:
            key = asyncio.run(person_key(socket, user))
            assert "/" not in key
        data, backup = stores._places.postgres / "data", folder / "backup"
        stores.stop()
        shutil.copytree(data, backup, symlinks=True)
        for name in stores.specs:
            stores.start(name)
        asyncio.run(plan(url, user))
        with identity(stores, folder):
            asyncio.run(erased(url, user))
        stores.stop()
        _restore(backup, data)
        for name in stores.specs:
            stores.start(name)
        rows = "SELECT user_id FROM accounts"
        assert {each for (each,) in asyncio.run(execute(url, rows))} == {user, other}, "restored"
        with identity(stores, folder) as socket:
            # It serves, and he is gone already: with his key, which is never made anew.
            assert asyncio.run(execute(url, rows)) == [(other,)]
            assert asyncio.run(execute(url, "SELECT key_id FROM person_keys")) == []
            assert asyncio.run(person_key(socket, user)) == "NOT_FOUND/USER_NOT_FOUND"
            assert "/" not in asyncio.run(person_key(socket, other))
        states = asyncio.run(execute(url, "SELECT user_id, state FROM erasures"))
        assert states == [(user, 3)], "the other services are told again"


def test_without_its_seals_identity_refuses_to_start() -> None:
    with pytest.raises(SettingsError, match="PALESTRA_SEAL_KEYS_FILE is not set"):
        _sealer(cast("Host", SimpleNamespace(sealer=None)))


def _restore(backup: Path, data: Path) -> None:
    owner = data.stat()
    shutil.rmtree(data)
    shutil.copytree(backup, data, symlinks=True)
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
