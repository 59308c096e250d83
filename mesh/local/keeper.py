"""Keeps one process alive: starts it, asks for its health, starts it again, ends it.

Owns the life of a single `spec.Spec` and tells of each change. Decides when a
process has died for us: it ended, never came to serve, or fell silent. Knows nothing
of the other processes.
"""

from __future__ import annotations

import asyncio
import enum
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress

from mesh.local import procfs, spawn
from mesh.local.backoff import Backoff
from mesh.local.errors import StackError
from mesh.local.places import Places
from mesh.local.spec import Health, Spec

SILENCE_S = 20.0
"""A process that served and has not answered for so long is killed."""

HURRIED_S = 0.5
"""How long a process may take to end once the person asked twice."""


class State(enum.Enum):
    """Where a process is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    SERVING = "serving"
    NOT_SERVING = "not serving"
    WAITING = "waiting to restart"
    STOPPING = "stopping"


class Keeper:
    """One process of the table, over all its runs."""

    def __init__(self, spec: Spec, places: Places, changed: Callable[[Keeper], None]) -> None:
        self.spec = spec
        self.state = State.STOPPED
        self.restarts = 0
        self.last_end = ""
        """How the run before ended, for people."""
        self.identity: procfs.Identity | None = None
        self.since = time.time()
        self.failures = 0
        """Runs in a row that ended without having served."""
        self.refusal: StackError | None = None
        """Why it was not even started, where the reason is the state folder's."""
        self._places = places
        self._changed = changed
        self._popen: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._ended.set()
        self._life: asyncio.Task[None] | None = None
        self._backoff = Backoff()
        self._served_from: float | None = None
        self._hurried = asyncio.Event()

    # --- what the supervisor asks for

    def start(self) -> None:
        """Begins to keep the process. Does nothing where it is kept already."""
        if self._life is None or self._life.done():
            self.failures, self.refusal = 0, None
            self._life = asyncio.create_task(self._live(), name=self.spec.name)

    async def stop(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Ends the process and keeps it no longer.

        `before` is waited for when everybody was told that it gets no more calls, and
        before it is told to end itself.
        """
        if self._life is not None:
            self._life.cancel()
            with suppress(asyncio.CancelledError):
                await self._life
            self._life = None
        self._become(State.STOPPING)
        if before is not None:
            await before()
        await self._end()
        self._clear_sockets()
        self._become(State.STOPPED)

    def hurry(self) -> None:
        """Gives the process no more time to end by itself."""
        self._hurried.set()

    # --- its life

    async def _live(self) -> None:
        while True:
            try:
                await self._run_once()
            except StackError as error:
                self.refusal = error
                self.last_end = str(error)
            except OSError as error:
                self.last_end = f"could not be started: {error}"
            served_s = time.monotonic() - self._served_from if self._served_from else 0.0
            if self._served_from is None:
                self.failures += 1
            self._become(State.WAITING)
            await asyncio.sleep(self._backoff.wait_s(served_s))
            self.restarts += 1

    async def _run_once(self) -> None:
        self._served_from = None
        self._become(State.STARTING)
        self._spawn()
        health = asyncio.create_task(self._follow_health())
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait([health, ended], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                reason = health.result()
                self._kill()
                await ended
                self.last_end = reason
        finally:
            health.cancel()
            ended.cancel()

    def _spawn(self) -> None:
        spec = self.spec
        self._clear_sockets()
        if spec.before is not None:
            spec.before()
        command = spawn.leashed(spec.argv, spec.account, spec.death_signal)
        self._popen = spawn.start(command, spec.env, spec.cwd, self._places.log(spec.name))
        self._ended.clear()
        self.identity = procfs.identify(self._popen.pid)
        _when_ended(self._popen.pid, self._reap)
        self._changed(self)

    def _clear_sockets(self) -> None:
        for socket in self.spec.sockets:
            socket.unlink(missing_ok=True)

    def _reap(self) -> None:
        assert self._popen is not None
        code = self._popen.wait()
        # Whatever it started in its session must not outlive it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self.identity = None
        self.last_end = _told(code)
        self._ended.set()

    async def _follow_health(self) -> str:
        """Returns when the process is to be given up, and why."""
        assert self._popen is not None
        begun = heard = time.monotonic()
        async with aclosing(self.spec.probe(self._popen.pid)) as answers:
            async for health in answers:
                now = time.monotonic()
                if health is not Health.SILENT:
                    heard = now
                if health is Health.SERVING:
                    self._served_from = self._served_from or now
                    self.failures = 0
                    self._become(State.SERVING)
                elif self._served_from is None:
                    if now - begun > self.spec.start_s:
                        return f"did not serve within {self.spec.start_s:.0f} s"
                else:
                    self._become(State.NOT_SERVING)
                    if now - heard > SILENCE_S:
                        return f"was silent for {SILENCE_S:.0f} s"
        raise AssertionError("a probe never ends by itself")

    def _become(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self.since = time.time()
            self._changed(self)

    # --- its end

    def _signal(self, number: int) -> None:
        if self._popen is not None and self._popen.returncode is None:
            with suppress(ProcessLookupError):
                self._popen.send_signal(number)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def _end(self) -> None:
        if self._ended.is_set():
            return
        self._signal(self.spec.stop_signal)
        if not await self._ended_within(self.spec.stop_s):
            self._kill()
            await self._ended.wait()

    async def _ended_within(self, limit_s: float) -> bool:
        ended = asyncio.create_task(self._ended.wait())
        hurried = asyncio.create_task(self._hurried.wait())
        try:
            await asyncio.wait(
                [ended, hurried], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
            )
            if hurried.done() and not ended.done():
                await asyncio.wait([ended], timeout=HURRIED_S)
            return ended.done()
        finally:
            ended.cancel()
            hurried.cancel()


def _when_ended(pid: int, callback: Callable[[], None]) -> None:
    """Calls back, on the running loop, when the process has ended."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)

    def ended() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        callback()

    loop.add_reader(descriptor, ended)


def _told(code: int) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"
