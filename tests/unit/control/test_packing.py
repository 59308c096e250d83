"""A message packed by its class's plan has betterproto2's own bytes, whatever is in it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import betterproto2
import pytest
from betterproto2 import Message, field
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOption, Metadata
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import Route, RouteMatch
from envoy_data_plane.google.protobuf import Duration, Struct, UInt32Value, Value
from hypothesis import given
from hypothesis import strategies as some

from mesh.control import packing

BITS_31, BITS_32, BITS_63, BITS_64 = 2**31, 2**32, 2**63, 2**64
KINDS: dict[str, some.SearchStrategy[Any]] = {
    betterproto2.TYPE_BOOL: some.booleans(),
    betterproto2.TYPE_INT32: some.integers(-BITS_31, BITS_31 - 1),
    betterproto2.TYPE_INT64: some.integers(-BITS_63, BITS_63 - 1),
    betterproto2.TYPE_UINT32: some.integers(0, BITS_32 - 1),
    betterproto2.TYPE_UINT64: some.integers(0, BITS_64 - 1),
    betterproto2.TYPE_SINT32: some.integers(-BITS_31, BITS_31 - 1),
    betterproto2.TYPE_SINT64: some.integers(-BITS_63, BITS_63 - 1),
    betterproto2.TYPE_FLOAT: some.floats(width=32),
    betterproto2.TYPE_DOUBLE: some.floats(),
    betterproto2.TYPE_FIXED32: some.integers(0, BITS_32 - 1),
    betterproto2.TYPE_FIXED64: some.integers(0, BITS_64 - 1),
    betterproto2.TYPE_SFIXED32: some.integers(-BITS_31, BITS_31 - 1),
    betterproto2.TYPE_SFIXED64: some.integers(-BITS_63, BITS_63 - 1),
    betterproto2.TYPE_STRING: some.text(max_size=300),
    betterproto2.TYPE_BYTES: some.binary(max_size=300),
}


@dataclasses.dataclass(eq=False, repr=False)
class Part(Message):
    """What lies in another."""

    name: str = field(1, betterproto2.TYPE_STRING)


def holding(kind: str) -> type[Message]:
    """A message with a field of the kind in every way that there is."""
    entry = betterproto2.map_meta(betterproto2.TYPE_STRING, kind)
    return dataclasses.make_dataclass(
        "Holding",
        [
            ("single", Any, field(1, kind)),
            ("maybe", Any, field(16, kind, optional=True)),
            ("many", Any, field(2048, kind, repeated=True)),
            ("by_name", Any, field(7, betterproto2.TYPE_MAP, map_meta=entry)),
        ],
        bases=(Message,),
        eq=False,
        repr=False,
    )


def own(message: Message) -> bytes:
    """As betterproto2 packs it."""
    return Message.__bytes__(message)


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_each_kind(kind: str) -> None:
    values, holder = KINDS[kind], holding(kind)

    @given(values, some.none() | values, some.lists(values), some.dictionaries(some.text(), values))
    def same(single: Any, maybe: Any, many: list[Any], by_name: dict[str, Any]) -> None:
        message: Any = holder(single=single, maybe=maybe, many=many, by_name=by_name)  # type: ignore[call-arg]
        assert packing.packed(message) == own(message)

    same()


def test_messages_in_messages() -> None:
    holder: Any = holding(betterproto2.TYPE_MESSAGE)
    message = holder(
        single=Part(),
        maybe=Part(name="x" * 200),
        many=[Part(), Part(name="one")],
        by_name={"": Part(), "two": Part(name="two")},
    )
    assert packing.packed(message) == own(message)
    assert packing.packed(holder()) == b""


def test_what_is_wrapped_and_what_is_a_duration() -> None:
    for value in (None, 0, 7):
        message = Listener(name="one", per_connection_buffer_limit_bytes=value)
        assert packing.packed(message) == own(message)
    option = HeaderValueOption(keep_empty_value=True)
    assert packing.packed(option) == own(option)
    for number in (UInt32Value(value=2**32 - 1), Duration.from_timedelta(timedelta(seconds=-1.5))):
        assert packing.packed(number) == own(number)


def test_maps_of_structs() -> None:
    message = Metadata(filter_metadata={"a": Struct(fields={"b": Value(number_value=1.5)})})
    assert packing.packed(message) == own(message)


def test_what_nobody_knew_is_kept() -> None:
    stranger = bytes(Route(name="a route", match=RouteMatch(path="/one")))
    message = Part.parse(stranger)
    assert packing.packed(message) == own(message)
    assert len(packing.packed(message)) == len(stranger)
