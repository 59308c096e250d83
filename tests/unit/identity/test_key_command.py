"""What an operator is shown of the keys, and what he must say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.identity.keys.command import _parser, shown
from services.identity.keys.rules import SigningKey

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def key(name: str, signs_at: datetime, withdrawn_at: datetime | None = None) -> SigningKey:
    by, why = ("vera", "it leaked") if withdrawn_at else ("", "")
    return SigningKey(name, b"seed", b"p", NOW - HOUR, signs_at, True, withdrawn_at, by, why)


def test_each_key_is_told_with_what_it_does_and_without_its_secret() -> None:
    keys = [
        key("old", NOW - 2 * HOUR),
        key("now", NOW - HOUR),
        key("next", NOW + HOUR),
        key("gone", NOW - HOUR, NOW),
    ]
    told = shown(keys, NOW)
    assert {each["keyId"]: each["state"] for each in told} == {
        "next": "NEXT",
        "now": "SIGNING",
        "old": "RETIRED",
        "gone": "WITHDRAWN",
    }
    assert (told[-1]["withdrawnBy"], told[-1]["why"]) == ("vera", "it leaked")
    assert told[0]["signTime"] == "2026-05-01T13:00:00Z"
    assert "seed" not in str(told)


@pytest.mark.parametrize("line", [[], ["withdraw", "k1"], ["turn", "--later"], ["forget"]])
def test_what_is_not_said_whole_is_not_done(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        _parser().parse_args(line)
    assert refused.value.code == 2
    assert "usage" in capsys.readouterr().err
