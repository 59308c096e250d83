"""The node proxy's routes: what comes in to a service and what goes out from it.

Owns the deadlines between services. The edge's routes are `edge_routes`'s, what is tried
again `retries`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    RetryPolicy,
    Route,
    RouteAction,
    RouteActionClusterNotFoundResponseCode,
    RouteActionMaxStreamDuration,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)

from gateway.overrides import Overrides
from mesh.control.access import HEALTH, REFLECTION
from mesh.control.resources import breakers, faults, names, retries, steering
from mesh.control.traffic import USUAL, Traffic
from mesh.control.wire import header, pack, seconds
from mesh.policy import Method

PROOF_HEADER = "x-palestra-mesh-proof"
STREAM_IDLE_S = 900.0
# The longest silence of a client that has a body to send: a deadline begins after it.
BODY_S = 30.0


def inbound(
    service: str,
    methods: Iterable[Method],
    overrides: Overrides,
    proof: str,
    traffic: Traffic = USUAL,
) -> RouteConfiguration:
    """From a service's inbound listener to its workers, with the proof of having come so."""
    cluster = names.workers(service)
    routes = [
        way
        for method in methods
        for way in steering.ways(
            service,
            traffic.of(service),
            partial(_to_workers, cluster, method, overrides.timeout_ms(method), traffic),
        )
    ]
    routes += [
        Route(match=RouteMatch(prefix=prefix), route=forward(cluster, 0, None))
        for prefix in (HEALTH, REFLECTION)
    ]
    configuration = table(names.inbound(service), routes)
    configuration.request_headers_to_add = [header(PROOF_HEADER, proof)]
    return configuration


def _to_workers(cluster: str, method: Method, timeout_ms: int, traffic: Traffic) -> Route:
    route = Route(
        name=method.path,
        match=RouteMatch(path=method.path),
        route=forward(cluster, timeout_ms, retries.across_workers()),
    )
    wanted = [each for each in traffic.faults if each.concerns(method.service, method.path)]
    if wanted:
        route.typed_per_filter_config = {faults.FILTER: pack(faults.of(wanted))}
        if aborts := [each.abort for each in wanted if each.abort]:
            route.name = faults.marked(route.name, aborts[-1])
    return route


def outbound(caller: str, methods: Iterable[Method], overrides: Overrides) -> RouteConfiguration:
    """From a service's own processes to the methods that the contract lets it call."""
    routes = [_to_other(caller, method, overrides.timeout_ms(method)) for method in methods]
    refuse = Route(
        name="refused",
        match=RouteMatch(prefix="/"),
        direct_response=DirectResponseAction(status=403),
    )
    return table(names.outbound(caller), [*routes, refuse])


def _to_other(caller: str, method: Method, timeout_ms: int) -> Route:
    route = Route(
        name=method.path,
        match=RouteMatch(path=method.path),
        route=forward(
            names.towards(caller, method.service),
            timeout_ms,
            retries.by_caller(repeatable=method.repeatable),
        ),
    )
    if method.repeatable:
        throttled = pack(retries.throttled(method.service))
        route.typed_per_filter_config = {retries.FILTER: throttled}
    return route


def table(name: str, routes: list[Route]) -> RouteConfiguration:
    """A route table for every authority."""
    # What came of the tries before is `retries`' to know.
    host = VirtualHost(
        name=name, domains=["*"], routes=routes, include_attempt_count_in_response=True
    )
    return RouteConfiguration(name=name, virtual_hosts=[host])


def forward(
    cluster: str, timeout_ms: int, retries: RetryPolicy | None, *, rest: bool = False
) -> RouteAction:
    """To a cluster; a deadline of 0 is a stream's, which ends with its token.

    Envoy answers its route timeout with 504, which gRPC clients would get as
    UNAVAILABLE; a stream's longest duration it ends with DEADLINE_EXCEEDED.
    """
    deadline = seconds(timeout_ms / 1000)
    # With the second, a caller's shorter deadline is kept; without, Envoy would write ours over it.
    longest = RouteActionMaxStreamDuration(
        max_stream_duration=deadline, grpc_timeout_header_max=deadline
    )
    return RouteAction(
        cluster=cluster,
        priority=breakers.UNARY if timeout_ms else breakers.STREAMS,
        cluster_not_found_response_code=(
            RouteActionClusterNotFoundResponseCode.SERVICE_UNAVAILABLE
        ),
        timeout=deadline if rest else seconds(0),
        # Not over REST: beside it Envoy passes over `timeout`.
        max_stream_duration=longest if timeout_ms and not rest else None,
        idle_timeout=deadline + seconds(BODY_S) if rest and timeout_ms else seconds(STREAM_IDLE_S),
        retry_policy=retries,
    )
