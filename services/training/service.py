"""Training, composed: what it serves, consumes and runs."""

from __future__ import annotations

from mesh.runtime import Host, Parts, Service
from mesh.runtime.clock import now
from services.training.activities.flow import ActivityFlow
from services.training.activities.rpc import ActivityRpc
from services.training.activities.store import ActivityStore
from services.training.activities.watching import WatchFlow
from services.training.handlers import HANDLERS
from services.training.live import LiveBus
from services.training.progress.flow import ProgressFlow
from services.training.progress.rpc import ProgressRpc
from services.training.progress.store import ProgressStore
from services.training.samples.flow import SampleFlow
from services.training.samples.store import SampleStore
from services.training.tracker.flow import TrackerFlow
from services.training.tracker.rpc import TrackerRpc
from services.training.tracker.store import TrackerStore


def compose(host: Host) -> Parts:
    """Joins training's capabilities."""
    live = LiveBus(host.redis)
    activities = ActivityStore(host.database)
    return Parts(
        servicers=[
            TrackerRpc(TrackerFlow(TrackerStore(host.database), live, now), host.stopping),
            ActivityRpc(
                ActivityFlow(activities, live, now),
                SampleFlow(SampleStore(host.database)),
                WatchFlow(activities, live, host.stopping),
            ),
            ProgressRpc(ProgressFlow(ProgressStore(host.database), now)),
        ],
        handlers=HANDLERS,
        loops=[live.watchlist.keep, live.keep_publishing, live.keep_listening],
    )


SERVICE = Service("training", compose)
