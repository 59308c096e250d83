"""Envoy's configuration messages: their types, packing and the few shapes used everywhere.

Owns the type URLs and small constructors. Never decides a value.
"""

from __future__ import annotations

import sys
import types
from collections import OrderedDict
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

import betterproto2
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    Pipe,
    SocketAddress,
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.control import packing

Made = TypeVar("Made", bound=betterproto2.Message)
_PACKED = "_packed"
_MAX_KNOWN = 64
_known: OrderedDict[tuple[str, bytes], betterproto2.Message] = OrderedDict()
_PREFIX = "type.googleapis.com/envoy."
CLUSTERS = _PREFIX + "config.cluster.v3.Cluster"
ENDPOINTS = _PREFIX + "config.endpoint.v3.ClusterLoadAssignment"
SECRETS = _PREFIX + "extensions.transport_sockets.tls.v3.Secret"
LISTENERS = _PREFIX + "config.listener.v3.Listener"
FILTERS = _PREFIX + "config.core.v3.TypedExtensionConfig"
ROUTES = _PREFIX + "config.route.v3.RouteConfiguration"

ORDER = (CLUSTERS, ENDPOINTS, SECRETS, LISTENERS, FILTERS, ROUTES)
"""What is pushed first: a route may only name what is there already."""


def trust_own_messages() -> None:
    """Switches off what betterproto2 does for strangers' messages, each time anew.

    A second validation by pydantic costs twenty times the packing itself; type hints are
    evaluated for each field of a class, and warnings held back for each default. The unit
    tests run with all of it on, and with betterproto2's own packing.
    """
    message = betterproto2.Message
    message._is_pydantic = _never  # type: ignore[assignment, method-assign]  # noqa: SLF001
    message._type_hints = classmethod(_hints_once)  # type: ignore[assignment, arg-type]  # noqa: SLF001
    message._get_field_default = _default  # type: ignore[method-assign]  # noqa: SLF001
    message.__bytes__ = packing.packed  # type: ignore[assignment, method-assign]


def _never(_: betterproto2.Message) -> bool:
    return False


@cache
def _hints_once(cls: type[betterproto2.Message]) -> dict[str, type]:
    return get_type_hints(cls, sys.modules[cls.__module__].__dict__, {})


def _default(self: Any, field_name: str) -> Any:
    return self._betterproto.default_gen[field_name]()


def pack(message: betterproto2.Message) -> AnyMessage:
    """The message with its type URL."""
    return AnyMessage.pack(message)


def pack_known(message: betterproto2.Message) -> AnyMessage:
    """As `pack`; `unpack` gives this very message, which nobody changes from now on.

    A listener is looked into again and again while slices are judged. To read it back from its
    bytes cost a quarter of what making and packing everything does.
    """
    packed = pack(message)
    _known[packed.type_url, packed.value] = message
    while len(_known) > _MAX_KNOWN:
        _known.popitem(last=False)
    return packed


def final(message: Made) -> Made:
    """The same, which nobody changes from now on: it is packed once, whatever it is a part of."""
    message.__class__ = _final(type(message))
    return message


@cache
def _final(kind: type[betterproto2.Message]) -> Any:
    told = {"__module__": kind.__module__, "__bytes__": _packed_once}
    return types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(told))


def _packed_once(message: Any) -> bytes:
    known = message.__dict__.get(_PACKED)
    if known is None:
        known = betterproto2.Message.__bytes__(message)
        message.__dict__[_PACKED] = known
    return cast("bytes", known)


def unpack(packed: AnyMessage | None) -> Any:
    """The message in it, None where there is none; everybody's: to be changed in a copy alone."""
    if packed is None:
        return None
    known = _known.get((packed.type_url, packed.value))
    return packed.unpack() if known is None else known


def seconds(value: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=value)


def from_control() -> ConfigSource:
    """The aggregated stream, waited for as long as it takes.

    Envoy's own limit of 15 s would let a listener start without its filters.
    """
    return ConfigSource(
        ads=AggregatedConfigSource(),
        initial_fetch_timeout=seconds(0),
        resource_api_version=ApiVersion.V3,
    )


def pipe(path: str, mode: int = 0) -> Address:
    """A unix socket; `mode` only where Envoy makes it."""
    return Address(pipe=Pipe(path=path, mode=mode))


def loopback(port: int) -> Address:
    """A TCP port of this machine's own."""
    return Address(socket_address=SocketAddress(address="127.0.0.1", port_value=port))


def exactly(text: str) -> StringMatcher:
    """Matches this and nothing else."""
    return StringMatcher(exact=text)


def fitting(regex: str) -> RegexMatcher:
    """Matches the whole by an RE2 expression."""
    return RegexMatcher(regex=regex)


def header(name: str, value: str, *, keep: bool = False) -> HeaderValueOption:
    """Sets a header; with `keep`, only where there is none. `%` in the value is meant as such."""
    action = HeaderValueOptionHeaderAppendAction
    return HeaderValueOption(
        header=HeaderValue(key=name, value=value.replace("%", "%%")),
        append_action=action.ADD_IF_ABSENT if keep else action.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def formatted(name: str, value: str, *, keep: bool = False) -> HeaderValueOption:
    """Sets a header to what Envoy's format says, where it says anything."""
    said = header(name, "", keep=keep)
    if said.header:
        said.header.value = value
    return said
