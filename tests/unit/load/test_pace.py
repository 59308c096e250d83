"""How dear a machine is beside the one on which the targets were held."""

from __future__ import annotations

import pytest

from tests.load import pace
from tests.load.figures import Measured, Rounds, Tally


def _peers(times: float) -> list[Rounds]:
    return [_rounds(name, us * times) for name, us in pace.PEERS_US.items()]


def _rounds(name: str, *each_us: float) -> Rounds:
    rounds = [Measured(name, "request", Tally(2), 1.0, {"peer": 2 * us}) for us in each_us]
    return Rounds(name, "request", "Peers", rounds)


def test_the_yardsticks_say_the_least_and_the_most() -> None:
    dearer = _rounds("get-peer", *(pace.PEERS_US["get-peer"] * each for each in (9.0, 4.0, 1.0)))
    found = pace.of([*_peers(3.0)[1:], dearer, _rounds("get", 1.0)], pace.WORK_US * 2.0)
    assert found is not None
    assert found == pytest.approx((2.0, 3.0, 4.0))
    assert found.there(1_200.0) == pytest.approx((400.0, 300.0, 600.0))
    assert pace.words(found) == ["The pace: 3.00 times (2.00 to 4.00) what the same cost there"]


def test_without_every_peer_there_is_no_pace() -> None:
    nothing = Rounds("get-peer", "request", "Peers", [])
    assert pace.of(_peers(3.0)[1:], pace.WORK_US) is None
    assert pace.of([*_peers(3.0)[1:], nothing], pace.WORK_US) is None
    assert pace.words(None) == []
