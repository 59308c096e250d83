"""Failures on purpose, at a service's own door.

Owns Envoy's shape of them, and that what is injected says so. Callers meet them as they
would meet the service's own: what is harmless to repeat is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy_data_plane.envoy.extensions.filters.common.fault.v3 import FaultDelay
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType

from mesh.control.traffic import ABORTS, Fault
from mesh.control.wire import seconds

FILTER = "faults"
MOST_AT_ONCE = 1_000
_PER_PERCENT = 10_000


def none() -> HttpFault:
    """The filter where nothing is injected."""
    return HttpFault()


def of(faults: Sequence[Fault]) -> HttpFault:
    """The faults of one method; of several delays, or aborts, the one asked for last holds."""
    found = HttpFault(max_active_faults=MOST_AT_ONCE)
    for each in faults:
        share = FractionalPercent(
            numerator=round(each.percent * _PER_PERCENT),
            denominator=FractionalPercentDenominatorType.MILLION,
        )
        if each.delay_ms:
            found.delay = FaultDelay(fixed_delay=seconds(each.delay_ms / 1000), percentage=share)
        if each.abort:
            found.abort = FaultAbort(grpc_status=ABORTS[each.abort], percentage=share)
    return found


def marked(route: str, abort: str) -> str:
    """The name of a route whose calls are answered with this code.

    Whatever the code is, nothing else tells it when the words of the answer are chosen.
    """
    return f"{route} aborts with {abort}"
