"""Envoy's configuration messages: their types, packing and the few shapes used everywhere.

Owns the type URLs and small constructors. Never decides a value.
"""

from __future__ import annotations

from datetime import timedelta

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
)
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher
from envoy_data_plane.google.protobuf import Any as AnyMessage

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
    """Switches off pydantic's second validation of every message that is packed.

    It costs twenty times the packing itself; the unit tests run with it on.
    """
    betterproto2.Message._is_pydantic = _never  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _never(_: betterproto2.Message) -> bool:
    return False


def pack(message: betterproto2.Message) -> AnyMessage:
    """The message with its type URL."""
    return AnyMessage.pack(message)


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
