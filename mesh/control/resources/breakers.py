"""Circuit breakers: how much of a service one proxy may have under way at once.

Owns Envoy's shape of it. The numbers are the catalogue's or the operator's. Unary
calls and streams have budgets of their own, so that neither starves the other.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.cluster.v3 import CircuitBreakers, CircuitBreakersThresholds
from envoy_data_plane.envoy.config.core.v3 import RoutingPriority

from mesh.catalog import Capacity
from mesh.control.resources import retries

UNARY, STREAMS = RoutingPriority.DEFAULT, RoutingPriority.HIGH
"""By its route's priority a call is told to be the one or the other."""


def towards(capacity: Capacity) -> CircuitBreakers:
    """For one caller's way to a service; its second tries have a budget."""
    thresholds = [
        _thresholds(UNARY, capacity, capacity.requests),
        _thresholds(STREAMS, capacity, capacity.streams),
    ]
    for each in thresholds:
        each.retry_budget = retries.budget()
    return CircuitBreakers(thresholds=thresholds)


def within(capacity: Capacity) -> CircuitBreakers:
    """For a service's own processes, which several callers share.

    Twice what one caller may have: when the edge is at its limit, there is room
    for the calls of other services.
    """
    return CircuitBreakers(
        thresholds=[
            _thresholds(UNARY, capacity, 2 * capacity.requests),
            _thresholds(STREAMS, capacity, 2 * capacity.streams),
        ]
    )


def _thresholds(
    priority: RoutingPriority, capacity: Capacity, most: int
) -> CircuitBreakersThresholds:
    return CircuitBreakersThresholds(
        priority=priority,
        max_connections=capacity.connections,
        # Those that wait for a connection are under way as well.
        max_pending_requests=most,
        max_requests=most,
        max_retries=capacity.retries,
        track_remaining=True,
    )
