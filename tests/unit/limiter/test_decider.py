"""What was refused a moment ago, then Redis, then this process alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from limits import RateLimitItemPerSecond

from gateway.limiter.alone import OwnWindows
from gateway.limiter.asked import Asked
from gateway.limiter.decider import MOST_REFUSED, Decider
from gateway.limiter.windows import Verdict


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Shared:
    """Says what it is told to, and remembers what it was asked."""

    verdict: Verdict | None
    asked: list[Asked] = field(default_factory=list)

    async def count(self, asked: Asked) -> Verdict | None:
        self.asked.append(asked)
        return self.verdict


PASSES = Verdict(allowed=True, limit=3, remaining=2, wait_s=0.0)
REFUSED = Verdict(allowed=False, limit=3, remaining=0, wait_s=10.0)


def call(key: str = "k", requests: int = 3, window_s: int = 60, hits: int = 1) -> Asked:
    return Asked(key, RateLimitItemPerSecond(requests, window_s), hits)


async def test_redis_decides_where_it_is_there() -> None:
    shared = Shared(PASSES)
    assert await Decider(shared).decide([call()]) == [PASSES]
    assert shared.asked == [call()]


async def test_what_redis_refused_is_refused_without_it_until_the_wait_is_over() -> None:
    clock, shared = Clock(), Shared(REFUSED)
    decider = Decider(shared, clock=clock)
    assert await decider.decide([call()]) == [REFUSED]
    clock.now_s += 4
    (again,) = await decider.decide([call()])
    assert (again.allowed, again.wait_s, len(shared.asked)) == (False, 6.0, 1)
    # Another caller, or another limit for the same, is another question.
    await decider.decide([call("other")])
    await decider.decide([call(requests=4)])
    assert len(shared.asked) == 3
    clock.now_s += 6
    shared.verdict = PASSES
    assert await decider.decide([call()]) == [PASSES]


async def test_the_refusal_of_many_at_once_says_nothing_of_one() -> None:
    shared = Shared(REFUSED)
    decider = Decider(shared)
    await decider.decide([call(hits=3)])
    await decider.decide([call(hits=3)])
    assert len(shared.asked) == 2


async def test_none_is_counted_after_one_was_refused() -> None:
    shared = Shared(REFUSED)
    assert await Decider(shared).decide([call("a"), call("b")]) == [REFUSED]
    assert [each.key for each in shared.asked] == ["a"]


async def test_without_redis_a_brute_force_is_still_stopped() -> None:
    clock = Clock()
    decider = Decider(Shared(None), OwnWindows(clock=clock), clock)
    found = [(await decider.decide([call()]))[0] for _ in range(5)]
    assert [each.allowed for each in found] == [True, True, True, False, False]
    assert [each.remaining for each in found] == [2, 1, 0, 0, 0]
    assert [each.wait_s for each in found] == [0, 0, 60, 60, 60]
    assert (await decider.decide([call("other")]))[0].allowed
    clock.now_s += 60
    assert (await decider.decide([call()]))[0].allowed


async def test_what_this_process_refused_alone_is_asked_of_redis_once_that_is_back() -> None:
    shared = Shared(None)
    decider = Decider(shared, clock=Clock())
    assert not [(await decider.decide([call()]))[0].allowed for _ in range(4)][-1]
    shared.verdict = PASSES
    assert await decider.decide([call()]) == [PASSES]


async def test_memory_is_bounded_and_the_longest_unseen_is_forgotten() -> None:
    own = OwnWindows(most_keys=3, clock=Clock())
    for key in ("a", "b", "c", "a", "d"):
        own.count(call(key, requests=1))
    assert len(own) == 3
    assert not own.count(call("a", requests=1)).allowed
    assert own.count(call("b", requests=1)).allowed

    decider = Decider(Shared(REFUSED), clock=Clock())
    for number in range(MOST_REFUSED + 10):
        await decider.decide([call(str(number))])
    assert len(decider._refused) == MOST_REFUSED
