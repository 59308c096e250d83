"""Training, composed: what it serves, consumes and runs."""

from __future__ import annotations

from mesh.runtime import Host, Job, Parts, Service
from mesh.runtime.clock import now
from mesh.runtime.relations.replica import Relations
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
from services.training.sharing.deciding import EVERY_S, Deciding
from services.training.sharing.defaults import Defaults
from services.training.sharing.flow import SharingFlow
from services.training.sharing.store import SharingStore
from services.training.sharing.zones import Zones
from services.training.subjects import SUBJECTS, TABLES
from services.training.tracker.flow import TrackerFlow
from services.training.tracker.rpc import TrackerRpc
from services.training.tracker.store import TrackerStore


def compose(host: Host) -> Parts:
    """Joins training's capabilities."""
    live = LiveBus(host.redis)
    activities = ActivityStore(host.database)
    flow, defaults = ActivityFlow(activities, live, now), Defaults(host.mesh)
    relations = Relations(host.database, host.mesh)
    sharing = SharingStore(host.database, relations)
    deciding = Deciding(sharing, flow, defaults)
    samples = SampleFlow(SampleStore(host.database))
    return Parts(
        servicers=[
            TrackerRpc(
                TrackerFlow(TrackerStore(host.database), live, now, defaults), host.stopping
            ),
            ActivityRpc(
                flow,
                samples,
                WatchFlow(activities, live, host.stopping),
                SharingFlow(sharing, samples, Zones(host.mesh)),
            ),
            ProgressRpc(ProgressFlow(ProgressStore(host.database), now)),
        ],
        handlers=[*HANDLERS, *relations.handlers],
        jobs=[*relations.jobs, Job("decide audiences", EVERY_S, deciding.decide)],
        loops=[live.watchlist.keep, live.keep_publishing, live.keep_listening],
    )


SERVICE = Service("training", compose, subjects=SUBJECTS, tables=TABLES)
