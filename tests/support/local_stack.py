"""The `palestra` command over a table of stand-ins, and a handle on a stack started with it.

Everything but the table is the real thing. `python -m tests.support.local_stack COMMAND …`
takes the table's kind from STANDIN_TABLE: `stores` has the real PostgreSQL and Redis,
`light` has none, `broken` has a service that never serves.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.local import health, launch, plan, probes, procfs
from mesh.local.credentials import Credentials
from mesh.local.places import ROOT, Places
from mesh.local.spec import Probe, Spec, Stage
from mesh.local.stores import redis
from mesh.local.workers import SAME, Copy
from tests.support.scratch import short_folder

MODULE = "tests.support.local_stack"


def _standin(
    name: str, stage: Stage, probe: Probe, *argv: str, service: str = "", sockets: tuple[Path, ...]
) -> Spec:
    return Spec(
        name=name,
        stage=stage,
        argv=(sys.executable, "-m", "tests.support.standin", *argv),
        env=plan.base_environment(),
        cwd=ROOT,
        probe=probe,
        service=service,
        endpoint=sockets[0] if service else None,
        sockets=sockets,
        start_s=20.0,
    )


def table(options: plan.Options, places: Places, credentials: Credentials) -> tuple[Spec, ...]:
    """Stands in for `plan.table`."""
    kind = os.environ["STANDIN_TABLE"]
    workers = options.all_workers()
    specs: list[Spec] = []
    if kind == "stores":
        env = plan.base_environment()
        specs.append(plan._postgres(places, env, credentials, workers))
        specs.append(redis.spec(places, env, credentials.redis, workers))
    run = places.run
    xds = run / "xds.sock"
    argv = ["control", str(xds), str(places.control)]
    specs.append(_standin("control", Stage.CONTROL, health.answers(xds), *argv, sockets=(xds,)))
    for name, port in (("node", []), ("edge", [str(options.port)])):
        admin = run / f"{name}.admin.sock"
        probe = probes.proxy(admin)
        specs.append(
            _standin(name, Stage.PROXIES, probe, "proxy", str(admin), *port, sockets=(admin,))
        )
    for service, count in workers.items():
        specs += (
            one_more(options, places, credentials, service, number) for number in range(count)
        )
    return tuple(specs)


def one_more(
    options: plan.Options,
    places: Places,
    credentials: Credentials,
    group: str,
    number: int,
    copy: Copy = SAME,
) -> Spec:
    """Stands in for `plan.one_more`; a copy with BROKEN among its settings never serves."""
    name = f"{group.replace(':', '-')}-{number}"
    path = places.run / f"{name}.sock"
    broken = os.environ["STANDIN_TABLE"] == "broken" or "BROKEN" in copy.env
    argv = ["broken"] if broken else ["worker", str(path)]
    probe = health.worker(path)
    return _standin(name, Stage.SERVICES, probe, *argv, service=group, sockets=(path,))


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(
    holds: Callable[[], object],
    limit_s: float,
    what: str,
    troubles: Callable[[], object] | None = None,
) -> float:
    """Waits until something holds; gives the seconds it took. Fails after the limit.

    `troubles` tells, when it failed, what stands in the way then.
    """
    begun = time.monotonic()
    while not holds():
        took = time.monotonic() - begun
        if took >= limit_s:
            seen = f": {troubles()}" if troubles else ""
            raise AssertionError(f"not within {limit_s} s: {what}{seen}")
        time.sleep(0.02)
    return time.monotonic() - begun


@dataclass(frozen=True, slots=True)
class LocalStack:
    """A state folder and the command over it."""

    state: Path
    port: int
    kind: str = "light"

    def palestra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `palestra … --state …` to its end."""
        command = [sys.executable, "-m", MODULE, *arguments, f"--state={self.state}"]
        environment = os.environ | {"STANDIN_TABLE": self.kind}
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`palestra up --detach`."""
        return self.palestra("up", "--detach", f"--port={self.port}", *arguments)

    def status(self) -> dict[str, Any]:
        """`palestra status --json`."""
        content: dict[str, Any] = json.loads(self.palestra("status", "--json").stdout)
        return content

    def stack(self) -> dict[str, Any]:
        """stack.json, read without starting a command."""
        content: dict[str, Any] = json.loads((self.state / "stack.json").read_text())
        return content

    def process(self, name: str) -> dict[str, Any]:
        """One process's row of stack.json."""
        return next(each for each in self.stack()["processes"] if each["name"] == name)

    def endpoints(self) -> dict[str, list[str]]:
        """What the control plane is told."""
        content: dict[str, list[str]] = json.loads(
            (self.state / "mesh" / "endpoints.json").read_text()
        )
        return content

    def pids(self) -> list[int]:
        """Every process of the stack but the supervisor."""
        return [each["pid"] for each in self.stack()["processes"] if each["pid"]]

    def remains(self) -> list[int]:
        """Living processes whose command line names this state folder, or work in it."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            line = " ".join(procfs.command(int(entry.name)))
            with suppress(OSError):
                line += f" {(entry / 'cwd').readlink()}/"
            if str(self.state) + "/" in line or f"--state={self.state}" in line.split():
                found.append(int(entry.name))
        return found

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Signals one process of the stack."""
        os.kill(self.process(name)["pid"], number)


@contextmanager
def local_stack(kind: str = "light") -> Iterator[LocalStack]:
    """A stack in a short folder of its own; whatever the test left is ended, and removed."""
    with short_folder() as folder:
        # Closed to others, as the home of root is, in which it must serve as well.
        folder.chmod(0o700)
        stack = LocalStack(folder / "s", free_port(), kind)
        try:
            yield stack
        finally:
            stack.palestra("down")


if __name__ == "__main__":
    plan.table, plan.one_more = table, one_more
    launch.ENTRY = (sys.executable, "-m", MODULE, "supervise")
    from mesh.local.cli import app

    app(prog_name="palestra")
