"""What each request is counted by, and what its caller is told of it.

Owns the descriptors that routes send, to the edge's own buckets and to the limiter that
counts for all edges, and the headers that tell of limits. How many is the contract's.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    Metadata,
    RuntimeFractionalPercent,
)
from envoy_data_plane.envoy.config.ratelimit.v3 import RateLimitServiceConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RateLimit,
    RateLimitAction,
    RateLimitActionGenericKey,
    RateLimitActionMaskedRemoteAddress,
    RateLimitActionMetaData,
    RateLimitActionMetaDataSource,
    RateLimitXRateLimitOption,
    Route,
)
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import (
    HeaderMutationPerRoute,
    Mutations,
)
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimit as SharedLimits
from envoy_data_plane.envoy.extensions.filters.http.ratelimit.v3 import RateLimitPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.metadata.v3 import MetadataKey, MetadataKeyPathSegment
from envoy_data_plane.envoy.type.v3 import FractionalPercent
from envoy_data_plane.google.protobuf import Struct

from gateway import limits, replies
from gateway.overrides import Limit
from mesh import catalog
from mesh.control.resources import names
from mesh.control.wire import formatted, pack
from mesh.policy import Meaning

METHOD_KEY = "method"
ROUTE_METADATA = "palestra.limit"
"""What a route's limit means for whoever is refused by it; see `told`."""
_ADDRESS_KEY = "masked_remote_address"
_CLAIM = {"user": "sub", "client": "client_id"}
# What a token that lacks the claim is counted as: all such together, never nobody.
_WITHOUT = "without"
# A home has a /64 of addresses to call from, and is one caller.
_V4_BITS, _V6_BITS = 32, 64
_SHARED_STAGE = 1
_COUNTED = '"x-ratelimit-reset" in response.headers'
_SPENT = f'{_COUNTED} && response.headers["x-ratelimit-remaining"] == "0"'
_RESET = 'response.headers["x-ratelimit-reset"]'
# A call that was not counted, one without a token say, is told nothing of what is left.
_LEFT = f'%CEL({_COUNTED} ? "\\"<key>\\";r=" : "")%%RESP(x-ratelimit-remaining)%'
_LEFT_AND_WHEN = f'{_LEFT}%CEL({_SPENT} ? ";t=" : "")%%CEL({_SPENT} ? {_RESET} : "")%'
_OWN_REFUSAL = 'response.code_details == "local_rate_limited"'
_RETRY_AFTER = f'%CEL({_OWN_REFUSAL} && {_COUNTED} ? {_RESET} : "")%'


def always() -> RuntimeFractionalPercent:
    """Every request."""
    return RuntimeFractionalPercent(default_value=FractionalPercent(numerator=100))


def descriptor_key(limit_key: str) -> str:
    """The name under which Envoy sends what a limit is counted by."""
    return _ADDRESS_KEY if limit_key == "address" else limit_key


def counted_by(method: str, limit: Limit) -> list[RateLimit]:
    """The method and its caller: the address, or a claim of the token that was verified."""
    caller = _caller(limit.key)
    own = RateLimit(actions=[_said(METHOD_KEY, method), caller])
    if not limit.everywhere:
        return [own]
    # The common count is what the caller is told of.
    own.x_ratelimit_option = RateLimitXRateLimitOption.OFF
    quota = _said(limits.LIMIT_ENTRY, limits.entry(limit))
    shared = RateLimit(stage=_SHARED_STAGE, actions=[_said(METHOD_KEY, method), quota, caller])
    return [own, shared]


def on(route: Route, method: str, limit: Limit | None, refused: Meaning) -> Route:
    """The route, limited; `refused` is the reason that a refusal gives."""
    if limit is None or route.route is None:
        return route
    route.route.rate_limits = counted_by(method, limit)
    route.metadata = told(limit, refused)
    route.typed_per_filter_config[names.TOLD_LIMITS] = pack(headers(limit))
    if limit.everywhere:
        route.typed_per_filter_config[names.SHARED_LIMITS] = pack(RateLimitPerRoute())
    return route


def shared(timeout: timedelta) -> HttpFilter:
    """The filter that asks the limiter; without an answer it lets pass.

    It is there for the routes that name it alone: it would make itself a client of the
    limiter for every call, whether it asks or not.
    """
    limiter = GrpcServiceEnvoyGrpc(cluster_name=names.workers(catalog.LIMITER))
    config = SharedLimits(
        domain=limits.DOMAIN,
        stage=_SHARED_STAGE,
        timeout=timeout,
        failure_mode_deny=False,
        rate_limited_as_resource_exhausted=True,
        disable_x_envoy_ratelimited_header=True,
        rate_limit_service=RateLimitServiceConfig(
            grpc_service=GrpcService(envoy_grpc=limiter, timeout=timeout),
            transport_api_version=ApiVersion.V3,
        ),
    )
    return HttpFilter(name=names.SHARED_LIMITS, typed_config=pack(config), disabled=True)


def headers(limit: Limit) -> HeaderMutationPerRoute:
    """What every answer of a limited route says of its limit.

    Four expressions were about 8 % of the edge's CPU for a small read. Where one more call
    passes within a second in any case, a refusal has said so already (see `told`).
    """
    said = [formatted(limits.POLICY_FIELD, limits.policy(limit).replace("%", "%%"))]
    if limit.everywhere or limits.one_more_after_s(limit) > 1:
        state = _LEFT_AND_WHEN.replace("<key>", limit.key)
        said.append(formatted(limits.STATE_FIELD, state))
        # When it is exactly, which the refusal itself could not know.
        said.append(formatted("retry-after", _RETRY_AFTER))
    else:
        said.append(formatted(limits.STATE_FIELD, _LEFT.replace("<key>", limit.key), keep=True))
    changes = [HeaderMutation(append=each) for each in said]
    return HeaderMutationPerRoute(mutations=Mutations(response_mutations=changes))


def told(limit: Limit, refused: Meaning) -> Metadata:
    """What the edge's own refusal says: when one more call passes, at the latest."""
    wait_s = limits.one_more_after_s(limit)
    status = replies.status_of(refused, retry_after_s=wait_s)
    fields = {
        "retry_after_s": str(wait_s),
        limits.STATE_FIELD: limits.spent(limit),
        "details": base64.b64encode(status.SerializeToString()).decode(),
    }
    if limit.everywhere:
        fields |= {limits.LIMIT_HEADER: str(limit.requests), limits.REMAINING_HEADER: "0"}
        fields[limits.RESET_HEADER] = str(wait_s)
    return Metadata(filter_metadata={ROUTE_METADATA: Struct.from_dict(fields)})


def of_route(field: str) -> str:
    """How a refusal reads a field of `told`."""
    return f"%METADATA(ROUTE:{ROUTE_METADATA}:{field})%"


def _caller(key: str) -> RateLimitAction:
    if key == "address":
        masked = RateLimitActionMaskedRemoteAddress(
            v4_prefix_mask_len=_V4_BITS, v6_prefix_mask_len=_V6_BITS
        )
        return RateLimitAction(masked_remote_address=masked)
    path: Sequence[str] = ("claims", _CLAIM[key])
    return RateLimitAction(
        metadata=RateLimitActionMetaData(
            descriptor_key=key,
            metadata_key=MetadataKey(
                key="envoy.filters.http.jwt_authn",
                path=[MetadataKeyPathSegment(key=each) for each in path],
            ),
            default_value=_WITHOUT,
            source=RateLimitActionMetaDataSource.DYNAMIC,
        )
    )


def _said(key: str, value: str) -> RateLimitAction:
    generic = RateLimitActionGenericKey(descriptor_key=key, descriptor_value=value)
    return RateLimitAction(generic_key=generic)
