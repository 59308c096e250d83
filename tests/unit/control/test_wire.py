"""What is packed once is what it would be packed anew."""

from __future__ import annotations

from typing import Any

import betterproto2
import pytest
from envoy_data_plane.envoy.config.route.v3 import (
    Route,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

from mesh.control import wire


def made(path: str) -> Route:
    return Route(name="a route", match=RouteMatch(path=path))


def table(*routes: Route) -> RouteConfiguration:
    return RouteConfiguration(virtual_hosts=[VirtualHost(domains=["*"], routes=list(routes))])


def test_a_final_message_is_packed_as_any_other_alone_and_in_others() -> None:
    plain, other = made("/one"), made("/two")
    final = wire.final(made("/one"))
    assert isinstance(final, Route)
    assert bytes(final) == bytes(plain)
    assert bytes(table(final, other)) == bytes(table(plain, other))
    assert wire.pack(table(final)).value == bytes(table(plain))
    assert Route.parse(bytes(final)) == plain


def test_it_is_packed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[object] = []
    as_ever = betterproto2.Message.__bytes__

    def counted(message: Any) -> bytes:
        packed.append(message)
        return as_ever(message)

    monkeypatch.setattr(betterproto2.Message, "__bytes__", counted)
    final = wire.final(made("/one"))
    assert bytes(table(final, final)) == bytes(table(final, final))
    assert sum(each is final for each in packed) == 1


def test_what_was_packed_here_is_not_read_back() -> None:
    manager = made("/one")
    packed = wire.pack_known(manager)
    assert packed == wire.pack(made("/one"))
    assert wire.unpack(packed) is manager
    again = type(packed).parse(bytes(packed))
    assert wire.unpack(again) is manager


def test_what_was_packed_long_ago_is() -> None:
    packed = wire.pack_known(made("/one"))
    for number in range(200):
        wire.pack_known(made(f"/{number}"))
    found = wire.unpack(packed)
    assert found == made("/one")
    assert wire.unpack(None) is None
