"""One scenario after the other on one stack: warmed up, then measured, round after round."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence

from tests.load import cpu, noise, peers
from tests.load.closed_loop import Bounds
from tests.load.figures import Measured, Tally
from tests.load.scenarios import Scenario
from tests.load.world import World
from tests.support.whole_stack import WholeStack

MOST = 50_000
"""Requests, batches or updates of one scenario."""
_WARM = Bounds(0.7, 2_000)
_ORDER = ("edge", "node", "identity", "integration", "training", "postgres", "redis", "control")


def groups(stack: WholeStack) -> dict[str, Sequence[int]]:
    """The stack's processes by what they are; whoever loads it is none of them."""
    content = stack.status()
    found: dict[str, list[int]] = {}
    for row in content["processes"]:
        found.setdefault(row["service"] or row["name"], []).append(int(row["pid"]))
    found["supervisor"] = [int(content["supervisor"])]
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(group: str) -> int:
    return _ORDER.index(group) if group in _ORDER else len(_ORDER)


def start(stack: WholeStack, elapsed_s: float) -> Measured:
    """What the processes of a stack used until all was serving; taken at that moment."""
    used = cpu.usage(cpu.read_all(), groups(stack)).us
    return Measured("start", "start", Tally(1, 0, [elapsed_s * 1000]), elapsed_s, used)


def broken(scenario: Scenario) -> Measured:
    """A round in which it could not be measured: one failure, and no figure."""
    return Measured(scenario.name, scenario.unit, Tally(0, 1), 1.0, {})


async def measure(world: World, scenario: Scenario, seconds: float) -> Measured:
    """What it costs.

    Raises:
        ProcessGone: a process of the stack ended meanwhile.
    """
    heads: Mapping[str, Sequence[int]] = {**groups(world.stack), **world.beside}
    async with scenario.ready(world) as load:
        await load(_WARM)
        seen, own_s = noise.look(), _own_s()
        before, begun = cpu.usage(cpu.read_all(), heads), time.perf_counter()
        tally = await load(Bounds(seconds, MOST))
        elapsed_s = time.perf_counter() - begun
        used_us = cpu.usage(cpu.read_all(), heads).since(before)
    if scenario.peer:
        # The stack stands by, idle; what is measured is the peer and the PostgreSQL that it uses.
        used_us = {shown: used_us[group] for group, shown in peers.groups_of(scenario.peer).items()}
    else:
        used_us = {group: used_us[group] for group in heads if group not in world.beside}
    ours_s = sum(used_us.values()) / 1_000_000 + _own_s() - own_s
    beside = noise.between(seen, noise.look(), ours_s, elapsed_s)
    return Measured(scenario.name, scenario.unit, tally, elapsed_s, used_us, beside)


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
