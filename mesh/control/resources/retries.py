"""Who tries again, when, and how much of it there may be at most.

Decides that there is one place for each kind of failure. A call that reached nobody is
tried again where the next worker is known: by the service's own proxy, once. A call that
was answered badly, or cut off, is tried again by its caller's proxy alone, where the
contract says that a repeat has the effect of one, and only as long as most calls succeed:
a service that fails altogether gets no more than it was offered.
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.cluster.v3 import CircuitBreakersThresholdsRetryBudget
from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryHostPredicate,
    RetryPolicyRetryPriority,
)
from envoy_data_plane.envoy.extensions.filters.http.lua.v3 import Lua, LuaPerRoute
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import (
    PreviousPrioritiesConfig,
)
from envoy_data_plane.envoy.type.v3 import Percent

from mesh.control.wire import pack, seconds

FILTER = "retry-throttle"
# The request never reached a process: a second try is harmless whatever it does.
UNTOUCHED = "connect-failure,refused-stream,reset-before-request"
# It may have: only where the contract says that a repeat has the effect of one.
# A grpc.aio server that stops answers what still reaches it with CANCELLED.
REPEATABLE = f"{UNTOUCHED},reset,unavailable,cancelled"
TOKENS, REFILL = 20, 0.1
"""As gRPC's own clients throttle their retries: an attempt that failed takes a token, an
answer gives a tenth of one, and nothing is tried again while half of them are gone."""
BUDGET_PERCENT, AT_LEAST = 20.0, 32
"""Of what one caller has under way with a service, so much may be second tries."""
_TRIES = 3
_ATTEMPTS = 5

# One of these runs for each service in each proxy: Envoy keeps a Lua state per source.
# `x-envoy-max-retries` can only lower what the route allows.
_THROTTLE = f"""
local tokens = {TOKENS}
function envoy_on_request(handle)
  if tokens <= {TOKENS / 2} then
    handle:headers():replace("x-envoy-max-retries", "0")
  end
end
function envoy_on_response(handle)
  local headers = handle:headers()
  -- Of what is not there Envoy says nothing at all, which is no nil to a function.
  local attempts = tonumber(headers:get("x-envoy-attempt-count") or "")
  if attempts == nil then
    return
  end
  headers:remove("x-envoy-attempt-count")
  local status, grpc = headers:get(":status"), headers:get("grpc-status")
  local failed = attempts - 1
  if grpc == "14" or grpc == "1" or status == "502" or status == "503" then
    failed = attempts
  else
    tokens = math.min(tokens + {REFILL}, {TOKENS})
  end
  tokens = math.max(tokens - failed, 0)
end
"""


def by_caller(*, repeatable: bool) -> RetryPolicy:
    """To a service's one door: again where that was shut, and if harmless, where it failed."""
    return RetryPolicy(
        retry_on=REPEATABLE if repeatable else UNTOUCHED,
        num_retries=_TRIES,
        retry_back_off=RetryPolicyRetryBackOff(
            base_interval=seconds(0.05), max_interval=seconds(0.4)
        ),
    )


def across_workers() -> RetryPolicy:
    """Once to another worker, where the first was not there or took nothing."""
    return RetryPolicy(
        retry_on=UNTOUCHED,
        num_retries=1,
        retry_host_predicate=[
            RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=pack(PreviousHostsPredicate()),
            )
        ],
        # Of a canary that is not there to those whose calls it takes over.
        retry_priority=RetryPolicyRetryPriority(
            name="envoy.retry_priorities.previous_priorities",
            typed_config=pack(PreviousPrioritiesConfig(update_frequency=1)),
        ),
        host_selection_retry_max_attempts=_ATTEMPTS,
        retry_back_off=RetryPolicyRetryBackOff(
            base_interval=seconds(0.005), max_interval=seconds(0.05)
        ),
    )


def budget() -> CircuitBreakersThresholdsRetryBudget:
    """How many second tries of one caller may be under way at once."""
    return CircuitBreakersThresholdsRetryBudget(
        budget_percent=Percent(value=BUDGET_PERCENT), min_retry_concurrency=AT_LEAST
    )


def throttle(services: Iterable[str]) -> Lua:
    """The filter before the router of whoever calls these services; nothing by itself."""
    code = DataSource(inline_string=_THROTTLE)
    # Looked for anew, a REST call's route would be that of the gRPC call that it became: its
    # answers would lose what the REST route asks of them.
    return Lua(source_codes=dict.fromkeys(services, code), clear_route_cache=False)


def throttled(service: str) -> LuaPerRoute:
    """For a route whose calls are tried again: counts with the others to this service."""
    return LuaPerRoute(name=service)
