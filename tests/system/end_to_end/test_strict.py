"""Unknown fields of a JSON body: passed over, unless the client asks to be told."""

from __future__ import annotations

import pytest

from tests.support.athletes import Athlete
from tests.support.rest_errors import refusal

ME = "/v1/users/me?updateMask=bio"
STRICT = {"x-palestra-strict": "1"}


def test_who_does_not_ask_is_not_told(athlete: Athlete) -> None:
    for headers in ({}, {"x-palestra-strict": "0"}):
        answer = athlete.rest.patch(ME, json={"bio": "runs", "nickName": "V"}, headers=headers)
        assert (answer.status_code, answer.json()["profile"]["bio"]) == (200, "runs")


def test_who_asks_is_told_the_path_and_nothing_is_changed(athlete: Athlete) -> None:
    answer = athlete.rest.patch(ME, json={"bio": "swims", "nickName": "V"}, headers=STRICT)
    assert refusal(answer) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    (bad,) = [each for each in answer.json()["details"] if each["@type"].endswith("BadRequest")]
    (violation,) = bad["fieldViolations"]
    assert violation == {"field": "profile.nickName", "description": "unknown field"}
    assert athlete.rest.get("/v1/users/me").json()["profile"]["bio"] == ""


def test_what_is_known_passes_strictly_as_well(athlete: Athlete) -> None:
    answer = athlete.rest.patch(ME, json={"bio": "rows"}, headers=STRICT)
    assert (answer.status_code, answer.json()["profile"]["bio"]) == (200, "rows")
    assert athlete.rest.get("/v1/users/me", headers=STRICT).status_code == 200


@pytest.mark.parametrize("headers", [{}, STRICT], ids=["as usual", "strictly"])
def test_what_the_edge_refuses_it_refuses_either_way(
    athlete: Athlete, headers: dict[str, str]
) -> None:
    said = athlete.rest.patch(ME, content=b'{"bio":', headers=headers)
    assert refusal(said) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    large = athlete.rest.patch(ME, json={"bio": "x" * (1 << 20)}, headers=headers)
    assert refusal(large)[0] == 413
    unknown = athlete.rest.patch(f"{ME}&shoe=44", json={"bio": "x"}, headers=headers)
    assert refusal(unknown) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")


def test_the_question_is_no_page_of_the_edge(athlete: Athlete) -> None:
    answer = athlete.rest.patch("/strict/v1/users/me", json={"x": 1})
    assert refusal(answer) == (404, "UNIMPLEMENTED", "METHOD_UNKNOWN")
