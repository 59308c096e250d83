"""Fields of a JSON body that the contract does not know, and where they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.strict import MOST_FINDINGS, TWICE, UNKNOWN, Bodies
from mesh import policy

BODIES = Bodies(policy.load())
PROFILE = ("PATCH", "/v1/users/me")
ACTIVITY = ("PATCH", "/v1/users/me/activities/a1")
REGISTER = ("POST", "/v1/auth:register")


def found(where: tuple[str, str], body: Any) -> list[tuple[str, str]]:
    packed = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [(each.path, each.what) for each in BODIES.findings(*where, packed)]


@pytest.mark.parametrize(
    ("where", "body"),
    [
        (PROFILE, {"bio": "runs", "displayName": "V"}),
        (PROFILE, {"display_name": "V"}),
        (ACTIVITY, {"summary": {"laps": [{"distanceM": 1}]}, "startTime": "2026-01-01T00:00:00Z"}),
        (REGISTER, {"email": "a", "password": "b", "displayName": None}),
        (REGISTER, {}),
    ],
)
def test_what_the_contract_knows_is_known_by_either_name(where: tuple[str, str], body: Any) -> None:
    assert found(where, body) == []


@pytest.mark.parametrize(
    ("where", "body", "paths"),
    [
        (PROFILE, {"nickName": "V"}, ["profile.nickName"]),
        (PROFILE, {"profile": {"bio": "V"}}, ["profile.profile"]),
        (REGISTER, {"email": "a", "emial": "b"}, ["emial"]),
        (ACTIVITY, {"summary": {"pace": 3, "laps": [{}, {"x": 1}]}, "y": {"z": 1}},
         ["activity.summary.pace", "activity.summary.laps[1].x", "activity.y"]),
        (REGISTER, {"": 1, "a.b": 2}, ["", "a.b"]),
    ],
)  # fmt: skip
def test_what_is_unknown_is_told_by_its_path(
    where: tuple[str, str], body: dict[str, Any], paths: list[str]
) -> None:
    assert found(where, body) == [(path, UNKNOWN) for path in paths]


def test_what_is_given_twice_is_told_whichever_names_it_has() -> None:
    assert found(PROFILE, b'{"bio": "a", "bio": "b"}') == [("profile.bio", TWICE)]
    both = b'{"displayName": "a", "display_name": "b"}'
    assert found(PROFILE, both) == [("profile.display_name", TWICE)]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"bio":' * 5_000]
)
def test_what_is_no_object_is_left_to_the_edge(body: bytes) -> None:
    assert found(PROFILE, body) == []


@pytest.mark.parametrize(
    "where", [("PATCH", "/v1/nothing"), ("GET", "/v1/users/me"), ("POST", "/v1/users/me")]
)
def test_what_no_mapping_takes_is_left_to_the_edge(where: tuple[str, str]) -> None:
    assert found(where, {"x": 1}) == []


def test_values_of_another_kind_are_left_to_the_edge() -> None:
    assert found(ACTIVITY, {"summary": 3, "title": {"a": 1}}) == []
    assert found(ACTIVITY, {"summary": {"laps": {"x": 1}}}) == [
        ("activity.summary.laps.x", UNKNOWN)
    ]


def test_the_findings_are_few_however_many_there_are() -> None:
    assert len(found(REGISTER, {f"x{at}": at for at in range(1000)})) == MOST_FINDINGS


def test_every_body_of_the_contract_is_known() -> None:
    bodies = [
        (rule.verb, rule.path)
        for method in policy.load().methods.values()
        for rule in method.http
        if rule.body
    ]
    assert len(bodies) >= 5
    for verb, template in bodies:
        path = template.replace("{", "").replace("}", "")
        path = "/".join(part.rpartition("=")[2].replace("*", "x") for part in path.split("/"))
        assert BODIES.findings(verb, path, b'{"surely unknown": 1}'), (verb, path)
