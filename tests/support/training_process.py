"""A worker of training in a process of its own, so that its CPU time can be told from a client's.

Run as `python -m tests.support.training_process FOLDER DATABASE_URL REDIS_URL KEY_HEX PROFILE`;
serves until its input ends. With a PROFILE, writes the profiler's figures there.
"""

from __future__ import annotations

import asyncio
import cProfile
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc
import psutil
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.runtime import logs
from tests.support.made_tokens import Signer
from tests.support.stores import Stores
from tests.support.training_worker import TRAINING, worker

ROOT = Path(__file__).parents[2]
START_S = 20.0


class Process:
    """The process as its test sees it."""

    def __init__(self, pid: int, channel: grpc.aio.Channel) -> None:
        self._process = psutil.Process(pid)
        self.channel = channel

    def cpu_us(self) -> float:
        """CPU time until now, user's and system's, in µs."""
        used = self._process.cpu_times()
        return (used.user + used.system) * 1e6

    def rss_mb(self) -> float:
        """Resident memory now."""
        return self._process.memory_info().rss / 2**20


@asynccontextmanager
async def process(
    folder: Path, stores: Stores, signer: Signer, profile: str = ""
) -> AsyncIterator[Process]:
    """Runs one until the block is left."""
    key = signer.private.private_bytes_raw().hex()
    urls = stores.database_url(TRAINING), stores.redis_url(TRAINING)
    command = [sys.executable, "-m", __name__, str(folder), *urls, key, profile]
    with subprocess.Popen(  # noqa: ASYNC220 - it only starts here; its end is waited for
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                ready = await asyncio.to_thread(running.stdout.readline)
            assert ready.startswith(b"unix:"), ready
            async with grpc.aio.insecure_channel(ready.decode().strip()) as channel:
                yield Process(running.pid, channel)
        finally:
            running.stdin.close()
            running.wait(timeout=20)


class _Urls:
    """What `worker` asks of the stores."""

    def __init__(self, database: str, redis: str) -> None:
        self._database = database
        self._redis = redis

    def database_url(self, _: str) -> str:
        return self._database

    def redis_url(self, _: str) -> str:
        return self._redis


async def _main(folder: str, database: str, redis: str, key: str) -> None:
    signer = Signer("test", Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)))
    urls = cast("Stores", _Urls(database, redis))
    async with worker(Path(folder), urls, signer) as made:
        print(made.served.address, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    *told, profile_path = sys.argv[1:]
    logs.configure(TRAINING, 0, "WARNING")
    profiler = cProfile.Profile()
    if profile_path:
        profiler.enable()
    uvloop.run(_main(*told))
    if profile_path:
        profiler.disable()
        profiler.dump_stats(profile_path)
