"""How a stack looks to a person: the content and the table of `palestra status`.

Decides what counts as well (every process serving, nothing rejected by a proxy).
Reads files and /proc only, so that it works whatever the stack is doing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh.local import launch, procfs
from mesh.local.places import Places, read_json

if TYPE_CHECKING:
    from rich.table import Table

SERVING, NOT_SERVING, NOT_RUNNING = 0, 3, 4
"""Exit statuses of `palestra status`."""


def gather(state: Path) -> dict[str, Any] | None:
    """Everything that `palestra status --json` prints; None where no stack runs."""
    where = Places(state)
    supervisor = launch.running(state)
    stack = read_json(where.stack)
    if supervisor is None or stack is None:
        return None
    report = read_json(where.control) or {}
    rows = [_row(each) for each in stack.get("processes", [])]
    return {
        "state": stack.get("state"),
        "rest_url": stack.get("rest_url"),
        "grpc_target": stack.get("grpc_target"),
        **({"ca": stack["ca"]} if "ca" in stack else {}),
        "blobs_scan": stack.get("blobs_scan", "none"),
        "supervisor": supervisor,
        "processes": rows,
        "rejected": report.get("rejected", []),
        "versions": report.get("versions", {}),
        "slices": report.get("slices", {}),
        "connected": report.get("connected", []),
    }


def _row(recorded: dict[str, Any]) -> dict[str, Any]:
    pid = recorded["pid"]
    return {
        "name": recorded["name"],
        "service": recorded["service"],
        "pid": pid,
        "health": "SERVING" if recorded["state"] == "serving" else "NOT_SERVING",
        "state": recorded["state"],
        "since_s": round(max(0.0, time.time() - recorded["since"]), 1),
        "rss_bytes": procfs.rss_bytes(pid) if pid is not None else None,
        "restarts": recorded["restarts"],
        "last_end": recorded["last_end"],
    }


def exit_status(content: dict[str, Any] | None) -> int:
    """0 where all is serving, 3 where something is not, 4 where nothing runs."""
    if content is None:
        return NOT_RUNNING
    serving = all(each["health"] == "SERVING" for each in content["processes"])
    return SERVING if serving and content["state"] == "running" else NOT_SERVING


def table(content: dict[str, Any]) -> Table:
    """The processes, for the terminal."""
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("process", "state", "for", "pid", "memory", "restarts", "last end"):
        shown.add_column(title, justify="right" if title in ("pid", "memory", "for") else "left")
    for row in content["processes"]:
        style = "green" if row["health"] == "SERVING" else "yellow"
        memory = f"{row['rss_bytes'] / 2**20:.0f} MiB" if row["rss_bytes"] else ""
        shown.add_row(
            row["name"],
            f"[{style}]{row['state']}[/]",
            f"{row['since_s']:.0f} s",
            str(row["pid"] or ""),
            memory,
            str(row["restarts"]),
            row["last_end"],
        )
    return shown


def rejections(content: dict[str, Any]) -> list[str]:
    """A line per configuration that a proxy refused and that is not in force."""
    return [
        f"rejected by {each.get('proxy')}: {each.get('type_url')} {each.get('version')}: "
        f"{each.get('error')}"
        for each in content["rejected"]
    ]
