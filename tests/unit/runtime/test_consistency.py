"""Consistency tokens: what they say, how they travel, and that no other is taken for one."""

from __future__ import annotations

import base64
import contextvars
import uuid

import pytest

from mesh import catalog
from mesh.runtime import calls, channel, consistency
from mesh.runtime.calls import Call
from mesh.runtime.consistency import MOST, Reached
from mesh.runtime.errors import MeshError

VERA = Reached(uuid.UUID("01a1fde4-90d9-8dd2-8ba4-78f29fd0f1ba"), 42)


def test_a_header_says_what_its_tokens_say() -> None:
    more = VERA._replace(version=(1 << 63) - 1)
    assert consistency.read("") == ()
    assert consistency.read(VERA.token) == (VERA,)
    assert consistency.read(f"{VERA.token}, {more.token}") == (VERA, more)
    assert consistency.read(consistency.header([VERA, more])) == (VERA, more)
    assert len(VERA.token) == 44


def _with_bit(token: str, bit: int) -> str:
    whole = bytearray(base64.urlsafe_b64decode(token))
    whole[bit // 8] ^= 1 << bit % 8
    return base64.urlsafe_b64encode(whole).decode()


@pytest.mark.parametrize(
    "header",
    [
        *(_with_bit(VERA.token, bit) for bit in range(0, 33 * 8, 5)),
        *(VERA.token[:cut] for cut in (1, 20, 43)),
        f"{VERA.token}A",
        f"{VERA.token}====",
        f"{VERA.token},",
        ",",
        " ",
        "ж",
        "x" * 10_000,
        ",".join([VERA.token] * (MOST + 1)),
        Reached(VERA.user, 1 << 63).token,
        VERA.token.replace("-", "+").replace("_", "/") + " x",
    ],
)
def test_what_nobody_gave_is_refused(header: str) -> None:
    with pytest.raises(MeshError) as refused:
        consistency.read(header)
    assert refused.value.reason == "CONSISTENCY_TOKEN_INVALID"


def _told(call: Call) -> dict[str, str]:
    def within() -> dict[str, str]:
        calls.enter(call)
        return dict(channel._metadata())

    return contextvars.copy_context().run(within)


def test_it_travels_on_with_outgoing_calls() -> None:
    told = _told(Call("/a.B/C", "edge", consistency=(VERA,)))
    assert told[catalog.CONSISTENCY_HEADER] == VERA.token
    assert catalog.CONSISTENCY_HEADER not in _told(Call("/a.B/C", "edge"))
