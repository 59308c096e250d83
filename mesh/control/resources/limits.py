"""What each request is counted by.

Owns the descriptors that routes send and that the limiting filter has buckets for.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit,
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionMetaData,
    RateLimitActionMetaDataSource,
    RateLimitActionRemoteAddress,
)
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment
from envoy_data_plane.envoy.type.v3 import FractionalPercent

METHOD_KEY = "method"
_ADDRESS_KEY = "remote_address"
_CLAIM = {"user": "sub", "client": "client_id"}


def always() -> RuntimeFractionalPercent:
    """Every request."""
    return RuntimeFractionalPercent(default_value=FractionalPercent(numerator=100))


def descriptor_key(limit_key: str) -> str:
    """The name under which Envoy sends what a limit is counted by."""
    return _ADDRESS_KEY if limit_key == "address" else limit_key


def counted_by(method: str, limit_key: str) -> RateLimit:
    """The method and its caller: the address, or a claim of the token that was verified."""
    method_action = RateLimitActionGenericKey(descriptor_key=METHOD_KEY, descriptor_value=method)
    if limit_key == "address":
        caller = RateLimitAction(remote_address=RateLimitActionRemoteAddress())
    else:
        caller = RateLimitAction(metadata=_claim(limit_key))
    return RateLimit(actions=[RateLimitAction(generic_key=method_action), caller])


def _claim(limit_key: str) -> RateLimitActionMetaData:
    path = [MetadataKeyPathSegment(key=key) for key in ("claims", _CLAIM[limit_key])]
    return RateLimitActionMetaData(
        descriptor_key=limit_key,
        metadata_key=MetadataKey(key="envoy.filters.http.jwt_authn", path=path),
        source=RateLimitActionMetaDataSource.DYNAMIC,
    )
