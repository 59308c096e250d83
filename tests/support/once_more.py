"""A test that failed while the machine provably stood still is tried again, and the run says so.

Decides when; pytest-rerunfailures does it and shows why the first try failed. What fails while
every core ran has failed, and so has what fails each time.
"""

from __future__ import annotations

import time
from typing import Final

import pytest

from tests.support.standstill import AFTERMATH_S, Stops

STOOD_S: Final = 0.3
"""All cores together, during a test: a third of what most requests may take."""
TIMES: Final = 3
_PAUSE_S: Final = 5.0
"""Twice as long before each next time: what stands still once mostly does so for a while."""
_TOLD_S: Final = 0.2
"""Whose core stood still tells it when it runs again."""


class OnceMore:
    """A plugin: all tests of a run are tried again, but for `Stops` only."""

    def __init__(self, stops: Stops) -> None:
        self._stops = stops
        self._begun_s = time.monotonic()
        self._timer: tuple[pytest.Item, object] | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Has the library ask us after each failure."""
        mark = pytest.mark.flaky(
            reruns=TIMES, reruns_delay=_PAUSE_S, reruns_delay_backoff_factor=2, condition=self.stood
        )
        for item in items:
            item.add_marker(mark)

    def pytest_runtest_logstart(self) -> None:
        """A test begins, or begins again."""
        self._begun_s = time.monotonic()

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: object) -> None:
        """A test's time runs, which pytest-timeout sees to."""
        self._timer = item, settings

    def stood(self, error: BaseException | None) -> bool:
        """Whether the machine stood still since the test began, or just before."""
        if error is None or not self._stops.proven:
            return False
        time.sleep(_TOLD_S)
        begun_s = self._begun_s - AFTERMATH_S
        if self._stops.stood_s(begun_s, time.monotonic()) < STOOD_S:
            return False
        self._run_anew()
        return True

    def _run_anew(self) -> None:
        """Gives the next try, and the pause before it, as long as the first.

        pytest-timeout looks no longer at what has failed.
        """
        if self._timer:
            item, settings = self._timer
            item.ihook.pytest_timeout_cancel_timer(item=item)
            item.ihook.pytest_timeout_set_timer(item=item, settings=settings)
