"""Trace contexts from outside: only what is one goes on."""

from __future__ import annotations

import re

import pytest

from mesh.runtime import traces

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHAPE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


def test_a_trace_context_goes_on() -> None:
    assert traces.incoming(GOOD) == GOOD


@pytest.mark.parametrize(
    "sent", ["", "x", "00", GOOD.upper(), GOOD + "-more", "a" * 5000, "00-0-0-00", GOOD[:-1]]
)
def test_anything_else_is_replaced_by_a_fresh_one(sent: str) -> None:
    made = traces.incoming(sent)
    assert SHAPE.fullmatch(made)
    assert made != sent
