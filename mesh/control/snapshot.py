"""What one proxy is to be told, whole and unchanging.

Owns packing and versions: a version is the hash of its content, so that the
same configuration has the same version whoever computes it and whenever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.control import wire

_DIGITS = 16


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


EMPTY = Typed(hashlib.sha256().hexdigest()[:_DIGITS], MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One proxy's resources by type URL."""

    proxy: str
    types: Mapping[str, Typed]
    version: str = field(default="")

    def of(self, type_url: str) -> Typed:
        """The resources of a type; none where it has none."""
        return self.types.get(type_url, EMPTY)


def take(proxy: str, resources: Resources) -> Snapshot:
    """Packs a proxy's resources."""
    types = {
        wire.CLUSTERS: _typed((each.name, each) for each in resources.clusters),
        wire.ENDPOINTS: _typed((each.cluster_name, each) for each in resources.assignments),
        wire.SECRETS: _typed((each.name, each) for each in resources.secrets),
        wire.LISTENERS: _typed((each.name, each) for each in resources.listeners),
        wire.FILTERS: _typed((each.name, each) for each in resources.filters),
        wire.ROUTES: _typed((each.name, each) for each in resources.routes),
    }
    whole = hashlib.sha256("".join(each.version for each in types.values()).encode())
    return Snapshot(proxy, MappingProxyType(types), whole.hexdigest()[:_DIGITS])


def _typed(messages: Iterable[tuple[str, betterproto2.Message]]) -> Typed:
    packed = {name: wire.pack(message) for name, message in messages}
    digest = hashlib.sha256()
    for name in sorted(packed):
        value = packed[name].value
        digest.update(f"{name}\0{len(value)}\0".encode() + value)
    return Typed(digest.hexdigest()[:_DIGITS], MappingProxyType(packed))
