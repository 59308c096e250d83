"""Who starts beside others weighs less, and as much as they as soon as it serves."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.local import procfs
from mesh.local.giving_way import BEHIND, giving_way
from mesh.local.procfs import Identity

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel makes no autogroups"
)


@pytest.fixture
def process() -> Iterator[Identity]:
    """Somebody in a session of its own."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as started:
        found = procfs.identify(started.pid)
        assert found is not None
        yield found
        started.kill()


def nice_of(process: Identity) -> int:
    return int(Path(f"/proc/{process.pid}/autogroup").read_text().split()[-1])


async def test_it_gives_way_while_the_block_runs_and_no_longer(process: Identity) -> None:
    async with giving_way(process):
        assert nice_of(process) == BEHIND
    assert nice_of(process) == 0


async def test_it_weighs_as_the_others_also_where_the_start_failed(process: Identity) -> None:
    with pytest.raises(LookupError):
        async with giving_way(process):
            raise LookupError
    assert nice_of(process) == 0


async def test_who_is_called_off_leaves_it_as_the_others_are(process: Identity) -> None:
    async def start() -> None:
        async with giving_way(process):
            await asyncio.Event().wait()

    starting = asyncio.create_task(start())
    while nice_of(process) != BEHIND:
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    assert nice_of(process) == 0


async def test_a_kernel_that_will_not_hear_it_yet_is_asked_again(
    process: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, write = 0, Path.write_text

    def write_text(self: Path, data: str, **more: str) -> int:
        nonlocal refused
        if data == "0" and refused < 3:
            refused += 1
            raise BlockingIOError(errno.EAGAIN, "again")
        return write(self, data, **more)

    monkeypatch.setattr(Path, "write_text", write_text)
    async with giving_way(process):
        pass
    assert refused == 3
    assert nice_of(process) == 0


async def test_a_stranger_under_its_number_is_left_alone(process: Identity) -> None:
    before = Identity(process.pid, process.start_ticks - 1, process.boot)
    async with giving_way(before):
        assert nice_of(process) == 0


async def test_who_is_gone_or_never_was_is_no_trouble(process: Identity) -> None:
    async with giving_way(None):
        pass
    async with giving_way(process):
        os.kill(process.pid, signal.SIGKILL)
