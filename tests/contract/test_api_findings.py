"""The list of allowed findings: each with a reason, none too broad, none after its day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.support.api_fuzz import Allowed, Finding, allowed

TODAY = dt.datetime.now(tz=dt.UTC).date()
LONGEST = dt.timedelta(days=400)


@pytest.mark.parametrize("entry", allowed(), ids=lambda entry: entry.says.pattern[:40])
def test_an_entry_is_not_over_and_not_for_ever(entry: Allowed) -> None:
    assert TODAY <= entry.until <= TODAY + LONGEST, entry.because
    assert len(entry.because) > 20


@pytest.mark.parametrize("check", ["not_a_server_error", "response_schema_conformance"])
def test_no_entry_forgives_a_server_error_or_a_wrong_answer(check: str) -> None:
    found = Finding(check, "GET /v1/users/{user}", 500, "UNEXPECTED", "mesh.palestra", "…", "")
    assert not [entry for entry in allowed() if entry.check == check or entry.covers(found, TODAY)]


def test_a_domains_own_reason_is_forgiven_as_400_and_the_meshs_is_not() -> None:
    def forgiven(status: int, reason: str, domain: str) -> bool:
        found = Finding("positive_data_acceptance", "POST /v1/x", status, reason, domain, "no", "")
        return any(entry.covers(found, TODAY) for entry in allowed())

    assert forgiven(400, "PERSON_BLOCKED", "identity.palestra")
    assert not forgiven(400, "INVALID_FIELD", "mesh.palestra")
    assert not forgiven(400, "PERSON_BLOCKED", "")
    assert not forgiven(400, "", "identity.palestra")


def test_an_entry_counts_until_its_last_day_and_not_after() -> None:
    entry = next(iter(allowed()))
    found = Finding(entry.check, "GET /v1/x", 400, "PAGE_TOKEN_INVALID", "mesh.palestra", "no", "")
    assert entry.covers(found, entry.until)
    assert not entry.covers(found, entry.until + dt.timedelta(days=1))


@pytest.mark.parametrize(
    "line", ['because = " "\nuntil = 2027-01-01', 'because = "so"\nuntil = ""']
)
def test_an_entry_without_a_reason_or_a_date_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.toml"
    path.write_text(f'[[allowed]]\ncheck = "x"\nsays = "y"\n{line}\n')
    with pytest.raises(ValueError, match="reason and a date"):
        allowed(path)
