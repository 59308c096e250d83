"""Fifteen thousand requests with something wrong about them: all answered well, and nothing grows.

Body, path, headers, protobuf bytes, gRPC-Web and WebSocket frames, telemetry: damaged by
seed. No answer is the server's fault, none shows our insides, each refusal has one reason;
no process ends, none logs what nobody expected, none keeps memory. MUTATION_SEED chooses
another damage.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import grpc
import pytest

from mesh import policy
from mesh.local import procfs
from tests.load import limits
from tests.support import workloads
from tests.support.athletes import Athlete, club
from tests.support.mutations import answers, over_grpc, over_http, over_websocket
from tests.support.whole_stack import WholeStack, whole_stack

SEED = int(os.environ.get("MUTATION_SEED", "20261121"))
ROUNDS = 3
REQUESTS = {"REST": 2_150, "gRPC": 1_250, "telemetry": 1_000, "gRPC-Web": 300, "WebSocket": 300}
"""In each round; the first one brings every process to its size."""
AT_ONCE, WEBSOCKETS_AT_ONCE = 10, 60
"""More where each takes a second: so long the edge waits before it lets a connection go."""
MOST_GROWTH = 24 << 20
"""Of one process in the last round. Refused calls leave cycles (their tracebacks), which
CPython collects when they are a quarter of all that lives, about 20 MiB in a worker: over
24,000 requests a worker's memory was seen to rise by so much, fall, and rise again."""
Attempt = Callable[[random.Random], Awaitable[list[str]]]

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def own_stack() -> Iterator[WholeStack]:
    """A stack whose limits let one athlete do all this."""
    with whole_stack({}, limits.raised()) as running:
        yield running


@pytest.fixture(scope="module")
def vera(own_stack: WholeStack) -> Iterator[Athlete]:
    with club(own_stack) as opened:
        yield opened.register()


async def _attempts(stack: WholeStack, vera: Athlete, edge: grpc.aio.Channel) -> dict[str, Attempt]:
    owner, contract = uuid.UUID(vera.user.removeprefix("users/")), policy.load()
    mappings = over_http.mapped(contract, owner)
    samples = over_grpc.samples(contract, owner)
    unary = [each for each in samples if not each.method.streaming]

    def http(make: Callable[[random.Random], bytes]) -> Attempt:
        return lambda chance: asyncio.to_thread(answers.over_http, stack.port, make(chance))

    return {
        "REST": http(lambda c: over_http.damaged(c, c.choice(mappings), vera.token)),
        "gRPC": lambda c: over_grpc.call(c, edge, c.choice(samples), vera.metadata),
        "telemetry": lambda c: over_grpc.stream(c, edge, vera.metadata),
        "WebSocket": lambda c: over_websocket.session(c, vera),
        "gRPC-Web": http(lambda c: over_grpc.web(c, c.choice(unary), vera.token)),
    }


async def _mutated(attempts: dict[str, Attempt], number: int) -> AsyncIterator[tuple[str, str]]:
    """Every fault of one round, and its kind."""
    for kind, count in REQUESTS.items():
        chance = random.Random(f"{SEED} {kind} {number}")
        together = WEBSOCKETS_AT_ONCE if kind == "WebSocket" else AT_ONCE
        for _ in range(count // together):
            found = await asyncio.gather(*(attempts[kind](chance) for _ in range(together)))
            for fault in (each for faults in found for each in faults):
                yield kind, fault


def _memory(stack: WholeStack) -> dict[str, int]:
    found = {name: procfs.rss_bytes(pid) for name, pid in stack.pids().items()}
    return {name: size for name, size in found.items() if size is not None}


async def test_fifteen_thousand_damaged_requests_break_nothing(
    own_stack: WholeStack, vera: Athlete, capsys: pytest.CaptureFixture[str]
) -> None:
    edge = workloads.through_the_edge(own_stack)
    attempts = await _attempts(own_stack, vera, edge)
    faults: Counter[tuple[str, str]] = Counter()
    pids = own_stack.pids()
    memory = []
    for number in range(ROUNDS):
        async for found in _mutated(attempts, number):
            faults[found] += 1
        memory.append(_memory(own_stack))
    await edge.close(None)
    assert not faults, f"seed {SEED}: {faults.most_common(10)}"
    assert own_stack.pids() == pids
    assert "unexpected_error" not in own_stack.logs(100_000)
    growth = {name: size - memory[-2][name] for name, size in memory[-1].items()}
    with capsys.disabled():
        print(f"\nseed {SEED}; memory in MiB, and its growth over the last 5,000 requests:")
        for name, size in memory[-1].items():
            print(f"  {name:14} {size / 2**20:7.1f} {growth[name] / 2**20:+6.2f}")
    assert {name: size for name, size in growth.items() if size > MOST_GROWTH} == {}
    # It serves as before.
    assert vera.get("users/me")["profile"]["name"] == vera.user
