"""The live display of a sending.

Draws what `companion.Status` says; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from palestra_watch.companion import Status
from palestra_watch.recording import Recording


class Display:
    """One bar for one session after the other; silent where nobody looks."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def session(self, recording: Recording) -> Iterator[DisplayedSession]:
        """The bar of one session."""
        task = self._progress.add_task(
            recording.label, total=recording.samples, state="starting", resumed=0
        )
        yield DisplayedSession(self._progress, int(task))


class DisplayedSession:
    """One bar."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = next(each for each in progress.task_ids if int(each) == task)

    def show(self, status: Status) -> None:
        """Draws the status."""
        self._progress.update(
            self._task,
            completed=status.acknowledged_samples,
            state=status.cue or status.state,
            resumed=status.resumed,
        )


@contextmanager
def display(console: Console, *, shown: bool) -> Iterator[Display]:
    """Draws until the block ends; to a console that is no terminal, nothing."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("acknowledged · resumed {task.fields[resumed]} · {task.fields[state]}"),
        TimeElapsedColumn(),
        console=console,
        disable=not (shown and console.is_terminal),
    )
    with progress:
        yield Display(progress)
