"""500 press the same button at once: one address makes one account, whichever process they meet."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.load.limits import raised
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack, whole_stack

PARALLEL = 500
EMAIL, PASSWORD = "Everybody@Example.com", "four words that nobody guesses"
# What a busy service says; whoever hears it has registered nobody else.
BUSY = {"OVERLOADED", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
WORKED_S = 0.2

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[WholeStack]:
    """Two processes of identity, and an edge that lets one machine ask so often."""
    with whole_stack({"identity": 2}, raised()) as running:
        yield running


async def _all_at_once(url: str) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=PARALLEL)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as rest:
        return await asyncio.gather(*(_register(rest, number) for number in range(PARALLEL)))


async def _register(rest: httpx.AsyncClient, number: int) -> httpx.Response:
    email = EMAIL if number % 2 else EMAIL.lower()
    told = {"email": email, "password": PASSWORD, "displayName": "Vera"}
    return await rest.post("/v1/auth:register", json=told)


def _cpu_s(stack: WholeStack) -> dict[str, float]:
    pids = {name: stack.pids()[name] for name in stack.names("identity")}
    return {name: psutil.Process(pid).cpu_times().user for name, pid in pids.items()}


def test_500_parallel_registrations_of_one_address_make_one_account(own_stack: WholeStack) -> None:
    before = _cpu_s(own_stack)
    answers = asyncio.run(_all_at_once(own_stack.rest_url))
    after = _cpu_s(own_stack)
    worked = [name for name in before if after[name] - before[name] > WORKED_S]
    assert len(worked) == 2, f"both processes took part: {before} {after}"
    told = Counter(
        json.loads(each.content)["user"] if each.status_code == 200 else refusal(each)[2]
        for each in answers
    )
    print(f"\n{dict(told)}")
    (user,) = told.keys() - BUSY
    assert user.startswith("users/"), told
    with own_stack.database() as database:
        found = {
            table: database.execute(f"SELECT count(*) FROM identity.{table}").fetchone()
            for table in ("accounts", "profiles", "addresses")
        }
        events = database.execute(
            "SELECT count(*) FROM identity.outbox WHERE type LIKE '%UserRegistered'"
        ).fetchone()
    assert found == dict.fromkeys(found, (1,))
    assert events == (1,), "it was told once"
    assert own_stack.is_serving(), own_stack.troubles()
