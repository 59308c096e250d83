"""What fails is not asked more often for it: second tries have a budget, and one place.

Requests are counted where they arrive, at the workers.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.mesh_stack import MeshStack, until
from tests.system.mesh.test_live_changes import bearer

# Read by a message, not by JSON of the service's own, which an empty answer would not be.
PROGRESS = "/v1/users/me/progress?period=PERIOD_MONTH"
GET = "/GetProgress"
OFFERED = 600
MOST = 1.2


class Workers:
    """Workers that count, in place of a service's usual ones."""

    def __init__(self, mesh: MeshStack, kinds: Mapping[int, str], service: str) -> None:
        self.mesh, self.kinds, self.service = mesh, kinds, service

    def path(self, number: int) -> Path:
        return self.mesh.state / f"counts-{number}"

    def counts(self, method: str) -> dict[int, int]:
        """How many calls of a method came to each."""
        return {
            number: sum(line.endswith(method) for line in self.path(number).read_text().split())
            for number in self.kinds
        }

    def start(self) -> None:
        for number, kind in self.kinds.items():
            self.path(number).write_bytes(b"")
            socket = self.mesh.socket(self.service, number)
            command = [sys.executable, "-m", "tests.support.failing_worker", str(socket)]
            name = f"{self.service}-{number}"
            self.mesh.spawn(name, [*command, str(self.path(number)), kind], {})
            until(socket.exists, "a worker")
        self.mesh.hand_over(self.service, list(self.kinds))

    def stop(self) -> None:
        for number in self.kinds:
            self.mesh.end(f"{self.service}-{number}")
        self.mesh.hand_over(self.service, [0])


@contextmanager
def workers(
    mesh: MeshStack, kinds: Mapping[int, str], service: str = "training"
) -> Iterator[Workers]:
    found = Workers(mesh, kinds, service)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def calm(mesh: MeshStack) -> MeshStack:
    """The mesh after many good answers: whoever fails now may be tried again."""
    with workers(mesh, {10: "fine"}):
        assert set(ask(mesh, 250, 5)) == {200}
    return mesh


def ask(mesh: MeshStack, requests: int, at_once: int) -> Counter[int]:
    """Reads progress so often, `at_once` at a time; the statuses."""
    statuses: Counter[int] = Counter()

    async def caller(client: httpx.AsyncClient, share: int) -> None:
        for _ in range(share):
            answer = await client.get(PROGRESS)
            statuses[answer.status_code] += 1

    async def everybody() -> None:
        limits = httpx.Limits(max_connections=at_once)
        async with httpx.AsyncClient(
            base_url=mesh.url, headers=bearer(mesh.token()), timeout=20, limits=limits
        ) as client:
            await asyncio.gather(*(caller(client, requests // at_once) for _ in range(at_once)))

    asyncio.run(everybody())
    return statuses


@pytest.mark.parametrize("at_once", [1, 10, 150])
@pytest.mark.parametrize("kind", ["unavailable", "reset"])
def test_a_service_that_fails_altogether_gets_hardly_more_than_it_was_offered(
    calm: MeshStack, kind: str, at_once: int
) -> None:
    mesh = calm
    with workers(mesh, {11: kind, 12: kind}) as failing:
        statuses = ask(mesh, OFFERED, at_once)
        arrived = sum(failing.counts(GET).values())
    assert statuses == {503: OFFERED}
    print(f"\n{kind}, {at_once} at once: {arrived / OFFERED:.3f}")
    # Not less either: nobody is left without a worker because all of them fail.
    assert OFFERED <= arrived <= MOST * OFFERED


def test_a_worker_that_fails_is_left_out_and_its_calls_are_tried_elsewhere(
    calm: MeshStack,
) -> None:
    mesh = calm
    with workers(mesh, {13: "unavailable", 14: "fine"}) as mixed:
        statuses = ask(mesh, OFFERED, 4)
        counts = mixed.counts(GET)
    assert statuses[200] >= 0.99 * OFFERED
    assert counts[13] < 0.2 * OFFERED
    assert sum(counts.values()) <= MOST * OFFERED


def test_the_only_worker_is_never_left_out(mesh: MeshStack, user: httpx.Client) -> None:
    with workers(mesh, {15: "unavailable"}) as failing:
        assert ask(mesh, 60, 2) == {503: 60}
        before = failing.counts(GET)[15]
        assert user.get(PROGRESS).json()["message"] == "out of order"
        assert failing.counts(GET)[15] > before


def test_answers_keep_their_tags_while_nothing_is_tried_again(
    mesh: MeshStack, user: httpx.Client
) -> None:
    with workers(mesh, {18: "unavailable"}):
        assert ask(mesh, 60, 2) == {503: 60}
    answers = [user.get(f"/v1/users/me/activities/a1{more}") for more in ("", "/streams")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all("etag" in answer.headers for answer in answers)


def test_what_may_not_be_repeated_is_sent_once(mesh: MeshStack, rest: httpx.Client) -> None:
    """Although another worker might have answered."""
    body = {"email": "vera@example.com", "password": "long enough", "displayName": "Vera"}
    with workers(mesh, {16: "reset", 17: "unavailable"}, "identity") as failing:
        statuses = [rest.post("/v1/auth:register", json=body).status_code for _ in range(8)]
        arrived = sum(failing.counts("/Register").values())
    assert statuses == [503] * 8
    assert arrived == 8
