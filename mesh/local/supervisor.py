"""Runs the process table: starts it in order, keeps it alive, ends it in reverse.

Owns the order of the stages and the end of everything that it started. Decides
when a start has failed. How one process is kept is `keeper`'s, what is told to the
outside is `board`'s. Single-threaded: the leash follows the thread that forks.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from mesh.local import logfiles
from mesh.local.board import Board
from mesh.local.crew import Crew, Hire
from mesh.local.errors import StackError
from mesh.local.keeper import Keeper, State
from mesh.local.places import Places
from mesh.local.spec import Spec, Stage

TRIES = 3
"""A process that ends so often without having served has failed the whole start."""

_LOGS_S = 5.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """One stack, from its first start to its end."""

    def __init__(
        self,
        places: Places,
        specs: Iterable[Spec],
        facts: Mapping[str, Any],
        services: Iterable[str],
        hire: Hire,
        settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`facts` go into stack.json; `settled` returns when the running whole is usable."""
        self._places = places
        self._keepers = {spec.name: Keeper(spec, places, self._changed) for spec in specs}
        self._board = Board(places, facts, services)
        self._settled = settled
        self._phase = "starting"
        self._moved = asyncio.Event()
        self._stop = asyncio.Event()
        self.crew = Crew(places, self._keepers, hire, self._changed, self._all_serve, self._stop)

    async def run(self, ready: Callable[[], None]) -> None:
        """Starts everything, calls `ready`, and returns when it was stopped and all has ended.

        Raises:
            StackError: it could not start, or was stopped before it had; nothing is left running.
        """
        self._take_signals()
        self._show()
        logs = asyncio.create_task(self._bound_logs())
        start = asyncio.create_task(self._start_all())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([start, stop], return_when=asyncio.FIRST_COMPLETED)
            if not start.done():
                raise StackError("stopped before everything had started.")
            start.result()
            self._phase = "running"
            self._show()
            ready()
            await stop
        finally:
            for task in (start, stop, logs):
                task.cancel()
            await self._stop_all()

    def stop(self) -> None:
        """Begins the end; the second time, everything is given no more time."""
        if self._stop.is_set():
            for keeper in self._keepers.values():
                keeper.hurry()
        self._stop.set()

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop)

    def _changed(self, _keeper: Keeper) -> None:
        self._moved.set()
        self._show()

    def _show(self) -> None:
        self._board.show(self._phase, self._keepers.values())

    async def _start_all(self) -> None:
        for stage in Stage:
            keepers = [each for each in self._keepers.values() if each.spec.stage is stage]
            for keeper in keepers:
                keeper.start()
            await self._all_serve(keepers)
            for keeper in keepers:
                if keeper.spec.once is not None:
                    keeper.spec.once()
        if self._settled is not None:
            await self._settled()

    async def _all_serve(self, keepers: list[Keeper]) -> None:
        while any(keeper.state is not State.SERVING for keeper in keepers):
            for keeper in keepers:
                if keeper.refusal is not None:
                    raise keeper.refusal
                if keeper.failures >= TRIES:
                    raise self._failure(keeper)
            self._moved.clear()
            await self._moved.wait()

    def _failure(self, keeper: Keeper) -> StackError:
        log = self._places.log(keeper.spec.name)
        words = [line for line in logfiles.tail(log, 5) if line.strip()]
        said = f" Its last words: {words[-1].strip()[:500]}" if words else ""
        return StackError(
            f"{keeper.spec.name} does not start: {keeper.last_end}, {keeper.failures} times."
            f"{said} (More in {log}.)"
        )

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOGS_S)
            for name in self._keepers:
                logfiles.cut(self._places.log(name))

    async def _stop_all(self) -> None:
        self._stop.set()
        self._phase = "stopping"
        self._show()
        for stage in reversed(Stage):
            keepers = [each for each in self._keepers.values() if each.spec.stage is stage]
            await asyncio.gather(*(keeper.stop() for keeper in keepers))
        self._phase = "stopped"
        self._show()
