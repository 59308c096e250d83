"""What failed is tried again only while the machine provably stood still, and is shown."""

from __future__ import annotations

import time

import pytest

from mesh.local.places import ROOT
from tests.support import once_more
from tests.support.once_more import STOOD_S, TIMES, OnceMore
from tests.support.standstill import Stop, Stops

pytest_plugins = ["pytester"]

FAILS_FIRST = """
    import pytest
    done = []

    @pytest.fixture(scope="module")
    def answer():
        done.append("setup")
        assert len(done) > {setups}, "too late to begin"

    def test_it(answer):
        done.append("call")
        assert done.count("call") > {calls}, "too late"
"""


@pytest.fixture(autouse=True)
def _without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once_more, "_PAUSE_S", 0.0)
    monkeypatch.setattr(once_more, "_TOLD_S", 0.0)


def _standing() -> Stops:
    """Still, however long the tests take to begin."""
    now = time.monotonic()
    return Stops([Stop(0, now - STOOD_S, now + 3600)])


def _run(pytester: pytest.Pytester, stops: Stops, calls: int, setups: int = 0) -> pytest.RunResult:
    pytester.makepyfile(FAILS_FIRST.format(calls=calls, setups=setups))
    # As of the whole run; its own settings are not the project's.
    return pytester.runpytest_inprocess(
        "-p",
        "no:cacheprovider",
        "-p",
        "no:asyncio",
        "--rerun-show-tracebacks",
        plugins=[OnceMore(stops)],
    )


def test_what_failed_amid_a_standstill_is_tried_again_and_shown(pytester: pytest.Pytester) -> None:
    done = _run(pytester, _standing(), calls=1)
    assert done.parseoutcomes() == {"passed": 1, "rerun": 1}
    done.stdout.fnmatch_lines(["*rerun test summary info*", "*RERUN*test_it*", "*too late*"])


def test_so_is_what_could_not_begin(pytester: pytest.Pytester) -> None:
    done = _run(pytester, _standing(), calls=0, setups=1)
    assert done.parseoutcomes() == {"passed": 1, "rerun": 1}


def test_what_fails_each_time_has_failed(pytester: pytest.Pytester) -> None:
    done = _run(pytester, _standing(), calls=TIMES + 1)
    assert done.parseoutcomes() == {"failed": 1, "rerun": TIMES}


def test_a_later_try_that_hangs_is_ended_as_the_first_would_be(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest("""
        from tests.support import once_more
        from tests.support.standstill import Stop, Stops
        once_more._PAUSE_S = 0.0

        def pytest_configure(config):
            config.pluginmanager.register(once_more.OnceMore(Stops([Stop(0, 0.0, 1e12)])))
    """)
    pytester.makepyfile("""
        import time
        done = []

        def test_it():
            done.append("call")
            if len(done) == 2:
                time.sleep(20)  # hangs
            assert len(done) > 1
    """)
    # An own process, for there is one alarm in each.
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--timeout=3")
    assert done.parseoutcomes() == {"passed": 1, "rerun": 2}


@pytest.mark.parametrize(
    ("stood_s", "ended_before_s", "proven"),
    [(0.0, 0.0, True), (STOOD_S / 2, 0.0, True), (1.0, 3.0, True), (1.0, 0.0, False)],
    ids=["never", "not for long", "long ago", "not proven"],
)
def test_what_fails_while_every_core_ran_has_failed(
    pytester: pytest.Pytester, stood_s: float, ended_before_s: float, proven: bool
) -> None:
    ended_s = time.monotonic() - ended_before_s
    stops = Stops([Stop(0, ended_s - stood_s, ended_s)], proven)
    assert _run(pytester, stops, calls=1).parseoutcomes() == {"failed": 1}
