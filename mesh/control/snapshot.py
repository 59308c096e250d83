"""What one proxy is to be told, whole and unchanging.

Owns packing and versions: a version is the hash of its content, so that the
same configuration has the same version whoever computes it and whenever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.control import wire

_DIGITS = 16


Message: TypeAlias = (
    Listener | RouteConfiguration | Cluster | ClusterLoadAssignment | Secret | TypedExtensionConfig
)


@dataclass(frozen=True, slots=True)
class Resources:
    """One proxy's resources before they are packed."""

    listeners: Sequence[Listener]
    routes: Sequence[RouteConfiguration]
    clusters: Sequence[Cluster]
    assignments: Sequence[ClusterLoadAssignment]
    secrets: Sequence[Secret]
    filters: Sequence[TypedExtensionConfig]


@dataclass(frozen=True, slots=True)
class Typed:
    """The resources of one type, packed once."""

    version: str
    by_name: Mapping[str, AnyMessage]
    versions: Mapping[str, str]
    """The hash of each resource's own content, by name."""


EMPTY = Typed(hashlib.sha256().hexdigest()[:_DIGITS], MappingProxyType({}), MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One proxy's resources by type URL."""

    proxy: str
    types: Mapping[str, Typed]
    version: str = field(default="")

    def of(self, type_url: str) -> Typed:
        """The resources of a type; none where it has none."""
        return self.types.get(type_url, EMPTY)


TYPES: Mapping[str, str] = MappingProxyType(
    {
        "clusters": wire.CLUSTERS,
        "assignments": wire.ENDPOINTS,
        "secrets": wire.SECRETS,
        "listeners": wire.LISTENERS,
        "filters": wire.FILTERS,
        "routes": wire.ROUTES,
    }
)
"""The type URL of each kind of resource."""


def of(proxy: str, kinds: Mapping[str, Typed]) -> Snapshot:
    """A snapshot of what is packed already, by kind."""
    types = {type_url: kinds[kind] for kind, type_url in TYPES.items()}
    whole = hashlib.sha256("".join(each.version for each in types.values()).encode())
    return Snapshot(proxy, MappingProxyType(types), whole.hexdigest()[:_DIGITS])


def name_of(message: Message) -> str:
    """What a resource is called."""
    return message.cluster_name if isinstance(message, ClusterLoadAssignment) else message.name


def typed(messages: Iterable[Message]) -> Typed:
    """Packs the resources of one type."""
    packed = {name_of(message): wire.pack(message) for message in messages}
    versions = {name: _hash(each.value) for name, each in sorted(packed.items())}
    whole = _hash("".join(f"{name}\0{each}\0" for name, each in versions.items()).encode())
    return Typed(whole, MappingProxyType(packed), MappingProxyType(versions))


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
