"""What training does when something was told: activities count, settings are asked for anew."""

from __future__ import annotations

from mesh.runtime import Handler
from mesh.runtime.sql import Session
from palestra.identity.v1.events_pb2 import SettingsChanged
from palestra.mesh.v1.event_pb2 import Event
from palestra.training.v1 import events_pb2
from services.training.progress import flow
from services.training.sharing import telling


async def _recorded(session: Session, event: events_pb2.ActivityRecorded, _: Event) -> None:
    await flow.count(session, None, event.totals)


async def _corrected(session: Session, event: events_pb2.ActivityCorrected, _: Event) -> None:
    await flow.count(session, event.before, event.after)


async def _deleted(session: Session, event: events_pb2.ActivityDeleted, _: Event) -> None:
    await flow.count(session, event.before, None)


async def _settings(session: Session, changed: SettingsChanged, event: Event) -> None:
    await telling.changed(session, changed.user, event.key_version)


# Sums of whole numbers: what comes after a message that was given up still counts right.
HANDLERS = (
    Handler("progress", events_pb2.ActivityRecorded, _recorded, commutative=True),
    Handler("progress", events_pb2.ActivityCorrected, _corrected, commutative=True),
    Handler("progress", events_pb2.ActivityDeleted, _deleted, commutative=True),
    # The newest number counts, whatever came before it.
    Handler("owners' settings", SettingsChanged, _settings, commutative=True),
)
