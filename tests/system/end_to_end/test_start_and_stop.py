"""What `make run` runs: the demo, Ctrl-C, and the quick second start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from mesh.local.places import ROOT
from tests.support.local_stack import free_port
from tests.support.scratch import short_folder

SECOND_START_S = 15.0
LIMIT_S = 90.0


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder of the test's own; whatever is left in it is stopped."""
    with short_folder() as folder:
        try:
            yield folder / "s"
        finally:
            palestra("down", folder / "s")


def palestra(command: str, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a `palestra` command to its end."""
    line = [sys.executable, "-m", "mesh.local", command, f"--state={state}", *arguments]
    return subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def until_said(output: IO[str], words: str) -> str:
    """What was printed up to the line that has these words."""
    said = ""
    for line in output:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended without {words!r}: {said}")


def everything_of(state: Path) -> list[psutil.Process]:
    """Every process of the stack."""
    content = json.loads((state / "stack.json").read_text())
    supervisor = psutil.Process(content["supervisor"])
    return [supervisor, *supervisor.children(recursive=True)]


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run still; one that has ended and waits for its new parent's look does not."""
    _, alive = psutil.wait_procs(processes, timeout=0)
    return [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def playing(state: Path, port: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that has played and stays, and what it said."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "mesh.local", "demo", f"--state={state}", port],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    try:
        yield demo, until_said(demo.stdout, "Ctrl-C drains and stops")
    finally:
        demo.stdout.close()
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
            demo.wait()


@pytest.mark.timeout(150)
def test_the_demo_ends_when_somebody_else_stops_its_stack(state: Path) -> None:
    with playing(state, f"--port={free_port()}") as (demo, _):
        assert palestra("down", state).returncode == 0
        assert demo.wait(10) == 0


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(150)
def test_ctrl_c_of_the_demo_drains_and_a_second_start_is_quick(state: Path) -> None:
    port = f"--port={free_port()}"
    with playing(state, port) as (demo, said):
        processes = everything_of(state)
        assert len(processes) >= 8
        # As a terminal does it: the whole foreground group gets the signal.
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(20) == 0
    assert "lost: 0" in said
    assert "TOKEN=" in said
    assert living(processes) == []
    begun = time.monotonic()
    started = palestra("up", state, "--detach", port)
    took_s = time.monotonic() - begun
    assert started.returncode == 0, started.stderr
    assert took_s < SECOND_START_S
    again = everything_of(state)
    assert palestra("down", state).returncode == 0
    assert living(again) == []
