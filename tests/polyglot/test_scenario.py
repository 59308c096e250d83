"""The comparison of a client's lines with the scenario finds what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.polyglot import scenario

KNOWN: dict[str, object] = {
    "user": "users/u1",
    "activities": ["users/u1/activities/b", "users/u1/activities/a"],
    "pages": 2,
    "sampleCounts": [3, 2],
    "recorded": "users/u1/activities/c",
}
RIGHT: tuple[dict[str, Any], ...] = (
    {"step": "register", "user": "users/01a1fc35-15ba-8f17-801f-0918e6669f0f", "hasToken": True},
    {
        "step": "wrong password",
        "code": "UNAUTHENTICATED",
        "reason": "CREDENTIALS_WRONG",
        "domain": "identity.palestra",
    },
    {"step": "login", "user": "users/u1"},
    {
        "step": "list",
        "activities": ["users/u1/activities/b", "users/u1/activities/a"],
        "pages": 2,
        "sampleCounts": [3, 2],
    },
    {
        "step": "not found",
        "code": "NOT_FOUND",
        "reason": "ACTIVITY_NOT_FOUND",
        "domain": "training.palestra",
    },
    {"step": "deadline", "code": "DEADLINE_EXCEEDED", "elapsedMs": 312},
    {"step": "watching"},
    {"step": "heard", "heartRateBpm": 120.0},
    {"step": "heard", "heartRateBpm": 121.0},
    {"step": "heard", "heartRateBpm": 122.0},
    {"step": "watch", "ended": "WATCH_END_FINISHED", "code": "OK"},
    {
        "step": "telemetry",
        "resumeFromSeq": 1,
        "acked": 1,
        "closed": "users/u1/activities/c",
        "code": "OK",
        "sampleCount": 3,
    },
)
WRONG: tuple[tuple[str, str, object], ...] = (
    ("register", "user", "users/"),
    ("register", "user", 7),
    ("register", "hasToken", 1),
    ("wrong password", "reason", "TOKEN_INVALID"),
    ("login", "user", "users/u2"),
    ("list", "activities", ["users/u1/activities/a", "users/u1/activities/b"]),
    ("list", "pages", 1),
    ("list", "sampleCounts", [3]),
    ("not found", "code", "UNKNOWN"),
    ("not found", "reason", None),
    ("deadline", "code", "CANCELLED"),
    ("deadline", "elapsedMs", 12),
    ("deadline", "elapsedMs", 30_000),
    ("deadline", "elapsedMs", "312"),
    ("heard", "heartRateBpm", 121),
    ("watch", "ended", ""),
    ("watch", "code", "UNAVAILABLE"),
    ("telemetry", "sampleCount", 2),
    ("telemetry", "closed", "users/u1/activities/b"),
    ("watch", "more", "than asked for"),
)


def told() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads(json.dumps(RIGHT))
    return lines


def test_what_is_right_has_no_differences() -> None:
    assert scenario.differences(scenario.expected(KNOWN), told()) == []


@pytest.mark.parametrize(("step", "key", "value"), WRONG)
def test_what_is_wrong_is_said_with_its_step(step: str, key: str, value: object) -> None:
    lines = told()
    next(line for line in lines if line["step"] == step)[key] = value
    (words,) = scenario.differences(scenario.expected(KNOWN), lines)
    assert words.startswith(f"{step}: ")


def test_a_step_that_is_missing_or_out_of_order_is_found() -> None:
    wanted, lines = scenario.expected(KNOWN), told()
    assert scenario.differences(wanted, lines[:-1])
    assert scenario.differences(wanted, [lines[1], lines[0], *lines[2:]])
    assert scenario.differences(wanted, [])


def test_what_a_transport_lacks_is_not_wanted_of_it_and_may_not_be_told() -> None:
    wanted, lines = scenario.expected(KNOWN, {"bidi"}), told()
    assert scenario.differences(wanted, lines[:-1]) == []
    assert scenario.differences(wanted, lines)


def test_a_scenario_that_names_what_nobody_knows_is_no_scenario() -> None:
    with pytest.raises(KeyError, match="activities"):
        scenario.expected({"user": "users/u1"})
