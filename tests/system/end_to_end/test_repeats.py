"""Each state-changing method of the contract, many times at once and again later: one effect.

Two athletes do the same, one of them once and the other many times; the rows that they have
left in the services' tables are then as many, and as often changed.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence

import grpc
import pytest
import pytest_asyncio

from mesh import catalog, policy
from palestra.mesh.v1 import policy_pb2
from tests.support import footprints, workloads
from tests.support.athletes import Club
from tests.support.local_stack import until
from tests.support.repeat_cases import AS_TRAINING, CASES, Case, Stage
from tests.support.whole_stack import WholeStack

AT_ONCE, LATER = 10, 2
SETTLED_S = 15.0
CHANGING = {
    path: method
    for path, method in policy.load().methods.items()
    if method.policy.repeat != policy_pb2.REPEAT_READ
}
_WAITING = """
    SELECT (SELECT count(*) FROM identity.outbox WHERE published_at IS NULL)
         + (SELECT count(*) FROM training.outbox WHERE published_at IS NULL)
"""
BY_ID = (policy_pb2.REPEAT_KEYED, policy_pb2.REPEAT_STORED)
Ways = tuple[grpc.aio.Channel, grpc.aio.Channel, Mapping[str, grpc.aio.Channel], grpc.aio.Channel]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ways(stack: WholeStack) -> AsyncIterator[Ways]:
    """Through the edge, to training as integration, to each as identity, to that as the edge."""
    edge = workloads.through_the_edge(stack)
    tracker = workloads.as_workload(stack, "integration", "training")
    orders = {
        each.name: workloads.as_workload(stack, "identity", each.name) for each in catalog.SERVICES
    }
    orders[AS_TRAINING] = workloads.as_workload(stack, "training", "identity")
    itself = workloads.as_workload(stack, "edge", "identity")
    yield edge, tracker, orders, itself
    for channel in (edge, tracker, *orders.values(), itself):
        await channel.close(None)


def test_every_state_changing_method_has_a_case() -> None:
    assert sorted(CASES) == sorted(CHANGING)
    known = {path for path, case in CASES.items() if case.other_body}
    assert known == {path for path, method in CHANGING.items() if method.policy.repeat in BY_ID}


async def made_ready(club: Club, ways: Ways) -> Stage:
    """A new athlete, for one case."""
    athlete = await asyncio.to_thread(club.register)
    secrets = {athlete.token, athlete.refresh_token, athlete.password}
    return Stage(athlete, *ways, secrets)


def settled(
    stack: WholeStack, stage: Stage, expected: footprints.Footprint | None = None
) -> dict[str, int]:
    """The athlete's footprint once all that hears of events has heard of them."""
    with stack.database() as database:
        seen: list[footprints.Footprint] = []

        def still() -> bool:
            waiting = database.execute(_WAITING).fetchone()
            seen.append(footprints.of(database, stage.athlete.user))
            return waiting == (0,) and seen[-2:] == [seen[-1]] * 2 and expected in (None, seen[-1])

        try:
            until(still, SETTLED_S, "the athlete's rows settle")
        except AssertionError:
            if expected is None:
                raise
        return seen[-1]


def grown(once: footprints.Footprint, case: Case, calls: int) -> footprints.Footprint:
    """What many calls leave: what one does, but where each has a row of its own."""
    more = {name: once[name] + calls - 1 for name in case.for_each}
    return once | more


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", sorted(CASES))
async def test_many_calls_have_the_effect_of_one(
    path: str, stack: WholeStack, athletes: Club, ways: Ways
) -> None:
    case = CASES[path]
    once, often = [await made_ready(athletes, ways) for _ in range(2)]
    answer = await (await case.prepare(once))()
    assert answer.startswith("OK"), answer
    expected = grown(settled(stack, once), case, AT_ONCE + LATER)
    call = await case.prepare(often)
    answers = await asyncio.gather(*(call() for _ in range(AT_ONCE)))
    refused = {each for each in answers if not each.startswith("OK")}
    assert refused <= case.may_refuse
    for _ in range(LATER):
        answers.append(await call())
        assert answers[-1].startswith("OK"), answers[-1]
    assert len({each for each in answers if each.startswith("OK")}) == 1, answers
    assert settled(stack, often, expected) == expected
    if case.other_body is not None:
        other = await case.other_body(often)
        assert await other() == "ALREADY_EXISTS/REQUEST_ID_REUSED"
        assert settled(stack, often) == expected
    await _assert_not_kept(stack, (once, often), is_erased=case.erases)


async def _assert_not_kept(stack: WholeStack, stages: Sequence[Stage], *, is_erased: bool) -> None:
    """No secret of these calls is anywhere: tables, streams, cache, logs."""
    with stack.database() as database:
        in_tables = await asyncio.to_thread(footprints.everything, database)
    with stack.redis(as_text=False) as redis:
        in_redis = await asyncio.to_thread(footprints.everything_in_redis, redis)
    logged = "".join(path.read_text(errors="replace") for path in stack.places.logs.glob("*.log*"))
    for stage in stages:
        # What may be there is found, so what may not be would be found as well.
        assert is_erased or stage.athlete.email in in_tables
        assert stage.athlete.user in in_redis
        for secret in stage.secrets:
            for form in _forms(secret):
                assert form not in in_tables
                assert form not in in_redis
                assert form not in logged


def _forms(secret: str) -> tuple[str, ...]:
    packed = secret.encode()
    return secret, packed.hex(), base64.b64encode(packed).decode().rstrip("=")
