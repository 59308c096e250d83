"""Streams over REST, as lines and as server-sent events, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.mesh_stack import MeshStack

EVENTS = {"accept": "text/event-stream"}
LIVE, FAILING, MISSING = (
    f"/v1/users/me/activities/{name}:watch" for name in ("a1", "failing", "missing")
)


def events_of(answer: httpx.Response) -> Iterator[Any]:
    """The events as a browser takes them apart: `data:` lines, closed by an empty line."""
    data: list[str] = []
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            assert name == "data", line
            data.append(value.removeprefix(" "))
        elif data:
            yield json.loads("\n".join(data))
            data = []


def test_lines_are_told_as_lines(user: httpx.Client) -> None:
    with user.stream("GET", LIVE) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert "content-encoding" not in answer.headers
        lines = answer.iter_lines()
        assert [json.loads(next(lines))["update"]["heartRateBpm"] for _ in range(3)] == [140] * 3


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, Text/Event-Stream;q=1"])
def test_who_accepts_events_gets_events_as_they_come(user: httpx.Client, accept: str) -> None:
    with user.stream("GET", LIVE, headers={"accept": accept}) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        events = events_of(answer)
        assert [next(events)["update"]["heartRateBpm"] for _ in range(3)] == [140] * 3


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["lines", "events"])
def test_the_last_event_says_how_it_ended_and_the_body_is_whole(
    user: httpx.Client, headers: dict[str, str]
) -> None:
    with user.stream("GET", FAILING, headers=headers) as answer:
        found = events_of(answer) if headers else map(json.loads, answer.iter_lines())
        (last,) = list(found)
    assert last["ended"]["reason"] == "WATCH_END_FAILED"
    (info,) = last["ended"]["error"]["details"]
    assert (info["reason"], last["ended"]["error"]["code"]) == ("ACTIVITY_NOT_FOUND", 5)


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["lines", "events"])
def test_a_stream_that_never_began_is_a_refusal(
    user: httpx.Client, rest: httpx.Client, headers: dict[str, str]
) -> None:
    for client, status in ((user, 404), (rest, 401)):
        answer = client.get(MISSING, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert answer.json()["code"]


def test_events_are_only_for_streams(user: httpx.Client) -> None:
    answer = user.get("/v1/users/me", headers=EVENTS)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["profile"]["name"] == "users/me"


@pytest.mark.parametrize("headers", [{}, EVENTS], ids=["lines", "events"])
def test_a_stream_whose_worker_is_killed_is_cut_and_never_looks_whole(
    mesh: MeshStack, user: httpx.Client, headers: dict[str, str]
) -> None:
    mesh.start_worker("training", 7)
    before = mesh.workers["training"]
    mesh.hand_over("training", [7])
    try:
        with user.stream("GET", LIVE, headers=headers) as answer:
            lines = answer.iter_lines()
            assert "140" in next(lines)
            mesh.kill("training-7")
            with pytest.raises(httpx.RemoteProtocolError):
                assert not [line for line in lines if "ended" in line]
    finally:
        if "training-7" in mesh.processes:
            mesh.kill("training-7")
        mesh.hand_over("training", before)
