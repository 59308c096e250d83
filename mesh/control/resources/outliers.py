"""Workers that answer their health checks and fail their calls: left out for a while.

Owns when a worker counts as such. Decides that half of a service's workers serve
whatever happens: what fails everywhere is not cured by sending everything to nobody.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.cluster.v3 import OutlierDetection

from mesh.control.wire import seconds

IN_A_ROW = 8
"""Of UNAVAILABLE and DEADLINE_EXCEEDED, or of broken connections, with no success between."""
OUT_S, LONGEST_OUT_S = 5.0, 60.0
MOST_PERCENT = 50


def detection() -> OutlierDetection:
    """For the cluster of a service's own processes.

    An INTERNAL is not counted: one caller's request that a method cannot cope with, sent
    again and again, would take every worker away from all others.
    """
    return OutlierDetection(
        split_external_local_origin_errors=True,
        enforcing_consecutive_5xx=0,
        consecutive_gateway_failure=IN_A_ROW,
        enforcing_consecutive_gateway_failure=100,
        consecutive_local_origin_failure=IN_A_ROW,
        enforcing_consecutive_local_origin_failure=100,
        enforcing_success_rate=0,
        enforcing_local_origin_success_rate=0,
        interval=seconds(1),
        base_ejection_time=seconds(OUT_S),
        max_ejection_time=seconds(LONGEST_OUT_S),
        max_ejection_percent=MOST_PERCENT,
        always_eject_one_host=False,
        # It passes its health checks; otherwise each of them, four a second, would end it.
        successful_active_health_check_uneject_host=False,
    )
