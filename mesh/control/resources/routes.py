"""The node proxy's routes: what comes in to a service and what goes out from it.

Owns the retries across workers and the deadlines between services. The edge's
routes are `edge_routes`'s.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryHostPredicate,
    Route,
    RouteAction,
    RouteActionClusterNotFoundResponseCode,
    RouteActionMaxStreamDuration,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate

from gateway.overrides import Overrides
from mesh.control.access import HEALTH, REFLECTION
from mesh.control.resources import names
from mesh.control.wire import header, pack, seconds
from mesh.policy import Method
from palestra.mesh.v1 import policy_pb2

PROOF_HEADER = "x-palestra-mesh-proof"
STREAM_IDLE_S = 900.0
# The request never reached a process: a second try is harmless whatever it does.
UNTOUCHED = "connect-failure,refused-stream,reset-before-request"
# It may have: only where the contract says that a repeat has the effect of one.
# A grpc.aio server that stops answers what still reaches it with CANCELLED.
REPEATABLE = f"{UNTOUCHED},reset,unavailable,cancelled"
_HARMLESS = {policy_pb2.REPEAT_READ, policy_pb2.REPEAT_NATURAL, policy_pb2.REPEAT_KEYED}
_ATTEMPTS = 5


def inbound(
    service: str, methods: Iterable[Method], overrides: Overrides, proof: str
) -> RouteConfiguration:
    """From a service's inbound listener to its workers, with the proof of having come so."""
    cluster = names.workers(service)
    routes = [
        Route(
            name=method.path,
            match=RouteMatch(path=method.path),
            route=forward(cluster, overrides.timeout_ms(method), _across_workers(method)),
        )
        for method in methods
    ]
    routes += [
        Route(match=RouteMatch(prefix=prefix), route=forward(cluster, 0, None))
        for prefix in (HEALTH, REFLECTION)
    ]
    configuration = table(names.inbound(service), routes)
    configuration.request_headers_to_add = [header(PROOF_HEADER, proof)]
    return configuration


def outbound(caller: str, methods: Iterable[Method], overrides: Overrides) -> RouteConfiguration:
    """From a service's own processes to the methods that the contract lets it call."""
    routes = [
        Route(
            name=method.path,
            match=RouteMatch(path=method.path),
            route=forward(
                names.towards(caller, method.service), overrides.timeout_ms(method), untouched()
            ),
        )
        for method in methods
    ]
    refuse = Route(
        name="refused",
        match=RouteMatch(prefix="/"),
        direct_response=DirectResponseAction(status=403),
    )
    return table(names.outbound(caller), [*routes, refuse])


def table(name: str, routes: list[Route]) -> RouteConfiguration:
    """A route table for every authority."""
    host = VirtualHost(name=name, domains=["*"], routes=routes)
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
        cluster_not_found_response_code=(
            RouteActionClusterNotFoundResponseCode.SERVICE_UNAVAILABLE
        ),
        timeout=deadline if rest else seconds(0),
        max_stream_duration=longest if timeout_ms and not rest else None,
        idle_timeout=seconds(STREAM_IDLE_S),
        retry_policy=retries,
    )


def untouched() -> RetryPolicy:
    """One host to try: again only where it was not there, while its proxy restarts."""
    return RetryPolicy(
        retry_on=UNTOUCHED,
        num_retries=3,
        retry_back_off=RetryPolicyRetryBackOff(
            base_interval=seconds(0.05), max_interval=seconds(0.4)
        ),
    )


def _across_workers(method: Method) -> RetryPolicy:
    repeatable = not method.streaming and method.policy.repeat in _HARMLESS
    return RetryPolicy(
        retry_on=REPEATABLE if repeatable else UNTOUCHED,
        num_retries=1,
        retry_host_predicate=[
            RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=pack(PreviousHostsPredicate()),
            )
        ],
        host_selection_retry_max_attempts=_ATTEMPTS,
        retry_back_off=RetryPolicyRetryBackOff(
            base_interval=seconds(0.005), max_interval=seconds(0.05)
        ),
    )
