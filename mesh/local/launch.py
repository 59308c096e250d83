"""Starting and stopping a stack, whether in this process or in one of its own.

Owns the order of the checks before a start, and how a supervisor in the background
tells whether it came up: one line of JSON on an inherited pipe.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from mesh import catalog
from mesh.local import (
    commands,
    credentials,
    files,
    leftovers,
    lock,
    places,
    plan,
    procfs,
    settled,
    spawn,
)
from mesh.local.errors import StackError
from mesh.local.supervisor import Supervisor

ENTRY = (sys.executable, "-m", "mesh.local", "supervise")
"""The command that runs a supervisor in the background."""

_STOP_S = 60.0
_LOOK_S = 0.02


def supervise(options: plan.Options, ready: Callable[[], None]) -> None:
    """Runs a stack in this process until it is stopped by SIGINT or SIGTERM.

    Raises:
        StackError: it cannot start; nothing is left running.
    """
    plan.check(options)
    files.raise_limit()
    where = places.prepare(options.state)
    held = lock.hold(where.lock)
    try:
        leftovers.end(where)
        places.clear_sockets(where.run)
        settled.refuse_taken_port(plan.HOST, options.port)
        names = [each.name for each in catalog.SERVICES]
        counters = [part.name for part in catalog.PARTS if part.counts]
        passwords = credentials.ensure(where, names, counters)
        specs = plan.table(options, where, passwords)
        sockets = [path for spec in specs for path in spec.sockets]
        places.refuse_long_sockets([where.commands, *sockets])
        ready_when = settled.check(where, options.port)
        hire = partial(plan.one_more, options, where, passwords)
        told = plan.facts(options)
        supervisor = Supervisor(where, specs, told, catalog.DEPLOYED, hire, ready_when)
        asyncio.run(_run(where, supervisor, options.all_workers(), ready))
    finally:
        os.close(held)


async def _run(
    where: places.Places,
    supervisor: Supervisor,
    workers: Mapping[str, int],
    ready: Callable[[], None],
) -> None:
    server = await commands.serve(where.commands, supervisor.crew, workers)
    try:
        await supervisor.run(ready)
    finally:
        server.close()
        where.commands.unlink(missing_ok=True)


def _arguments(options: plan.Options) -> list[str]:
    workers = [f"--workers={service}={number}" for service, number in options.workers.items()]
    return [
        f"--state={options.state}",
        f"--port={options.port}",
        f"--log-level={options.log_level}",
        f"--origin={options.origins}",
        f"--trusted-hops={options.trusted_hops}",
        f"--direct-port={options.direct_port}",
        *(["--tls", f"--tls-min={options.tls}"] if options.tls else []),
        *([f"--blobs={options.blobs}"] if options.blobs else []),
        *([f"--scan={options.scan}"] if options.scan else []),
        *([f"--traces={options.traces}"] if options.traces else []),
        *(["--pass-unscanned"] if options.pass_unscanned else []),
        *workers,
    ]


def _start(options: plan.Options, *, leash: bool) -> subprocess.Popen[bytes]:
    """Starts a supervisor in the background and waits until all is SERVING."""
    reader, writer = os.pipe()
    command = [*ENTRY, *_arguments(options), f"--ready-fd={writer}"]
    if leash:
        command = spawn.leashed(command, died=signal.SIGTERM)
    try:
        process = subprocess.Popen(
            command,
            cwd=places.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # By the same variables as on the command line: no secret is among them.
            env={**os.environ, **options.identity},
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.readline()
    except BaseException:
        _end(process)
        raise
    _refuse_failed(process, said, options)
    return process


def _refuse_failed(process: subprocess.Popen[bytes], said: bytes, options: plan.Options) -> None:
    answer: dict[str, Any] = json.loads(said) if said else {}
    if answer.get("ready"):
        return
    _end(process)
    log = places.Places(options.state).log("supervisor")
    raise StackError(answer.get("error") or f"the supervisor ended without a word; see {log}.")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    process.wait()


def detach(options: plan.Options) -> None:
    """Starts a stack that goes on when this process ends; returns when all is SERVING.

    Raises:
        StackError: it cannot start; nothing is left running.
    """
    # The child is not waited for: it outlives us, and is init's then.
    _start(options, leash=False).returncode = 0


@contextmanager
def attached(options: plan.Options) -> Iterator[dict[str, Any]]:
    """A stack for the time of a `with`, SERVING; gives the content of stack.json.

    It ends with this process, however that ends.

    Raises:
        StackError: it cannot start; nothing is left running.
    """
    process = _start(options, leash=True)
    try:
        yield places.read_json(places.Places(options.state).stack) or {}
    finally:
        _end(process)


def running(state: Path) -> int | None:
    """The process id of the supervisor of that state folder; None where none runs."""
    return lock.holder(places.Places(state).lock)


def ask(state: Path, command: dict[str, Any], limit_s: float) -> list[str]:
    """Asks the supervisor of a state folder; gives the names of the processes it tells.

    Raises:
        StackError: none is running, or it refused, or did not answer in time.
    """
    if running(state) is None:
        raise StackError(f"no stack is running in {state}.")
    return [
        str(each) for each in commands.ask(places.Places(state).commands, command, limit_s)["done"]
    ]


def stop(state: Path) -> bool:
    """Drains and stops the stack and waits for its end; false where none was running.

    Where a supervisor was killed, what it may have left is ended.

    Raises:
        StackError: it does not end.
    """
    pid = running(state)
    if pid is None:
        return _stop_leftovers(places.Places(state))
    identity = procfs.identify(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_S
    while identity is not None and procfs.identify(pid) == identity:
        if time.monotonic() > deadline:
            raise StackError(f"the stack (process {pid}) does not end within {_STOP_S:.0f} s.")
        time.sleep(_LOOK_S)
    return True


def _stop_leftovers(where: places.Places) -> bool:
    if not where.lock.exists():
        return False
    held = lock.hold(where.lock)
    try:
        return leftovers.end(where) > 0
    finally:
        os.close(held)
