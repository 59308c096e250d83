"""The lock and the identities of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.local import lock, procfs
from mesh.local.errors import AlreadyRunningError
from tests.support.local_stack import until

HOLD = """
import sys
from pathlib import Path
from mesh.local import lock
lock.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_by_one_process_and_falls_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock.holder(path) is None
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert lock.holder(path) == other.pid
        with pytest.raises(AlreadyRunningError, match=f"process {other.pid}"):
            lock.hold(path)
        other.kill()
    assert lock.holder(path) is None
    os.close(lock.hold(path))


def test_a_process_is_told_from_another_with_its_number() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        found = procfs.identify(process.pid)
        assert found is not None
        assert found == procfs.identify(process.pid)
        assert found != procfs.Identity(found.pid, found.start_ticks - 1, found.boot)
        # The kernel shows neither command line nor pages for an instant within exec.
        until(lambda: procfs.command(process.pid), 5.0, "the command line")
        assert procfs.command(process.pid)[-1:] == ("60",)
        until(lambda: (procfs.rss_bytes(process.pid) or 0) > 0, 5.0, "resident pages")
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert procfs.identify(process.pid) is None  # a zombie is no process any more
