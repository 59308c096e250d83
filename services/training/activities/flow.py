"""Use cases of activities: read, list, correct, delete."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from mesh.runtime.clock import Clock
from palestra.training.v1 import activity_pb2, events_pb2
from services.training import events
from services.training.activities import encoding
from services.training.activities.rules import changes
from services.training.activities.rules.changes import ActivityVersion, DeleteAction, Editable
from services.training.activities.rules.errors import ActivityNotFound, EtagMismatch
from services.training.activities.rules.filtering import parse_filter, parse_order
from services.training.activities.rules.sports import Sport
from services.training.activities.store import (
    ActivityStore,
    Listed,
    StoredActivity,
    Window,
)
from services.training.keys import SessionKey
from services.training.live import LiveBus, deleted_event

TRIES: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


class Page(NamedTuple):
    """Some activities, serialised, and where the next ones begin."""

    messages: Sequence[bytes]
    after: tuple[datetime, uuid.UUID] | None


@dataclass(frozen=True, slots=True)
class ActivityFlow:
    """Reading and correcting activities."""

    store: ActivityStore
    live: LiveBus
    clock: Clock

    async def activity(self, activity: SessionKey) -> bytes:
        """An activity, serialised.

        Raises:
            ActivityNotFound
        """
        stored = _existing(await self.store.activity(activity))
        if stored.totals is not None:
            return bytes(stored.message)
        (message,) = await self._with_counts(activity.user_id, [stored.message])
        return message

    async def page(
        self,
        user_id: uuid.UUID,
        filter_text: str,
        order_by: str,
        size: int,
        after: tuple[datetime, uuid.UUID] | None,
    ) -> Page:
        """A page of a person's activities.

        Raises:
            FilterInvalid, FieldInvalid
        """
        wanted = parse_filter(filter_text)
        descending = parse_order(order_by)
        if wanted.matches_nothing:
            return Page([], None)
        found: list[Listed] = []
        while True:
            window = Window(
                sports=[sport.value for sport in wanted.sports],
                started_from=_time(wanted.from_ms),
                started_before=_time(wanted.to_ms + 1),
                descending=descending,
                limit=size + 1,
                after=after,
            )
            rows = await self.store.listed(user_id, window)
            # Most filters leave no instant out; then no time is looked at.
            found += (
                [row for row in rows if _ms(row.started_at) not in wanted.except_ms]
                if wanted.except_ms
                else rows
            )
            # A filter with "!=" may have left some out: then the page is filled up.
            if len(found) > size or len(rows) <= size:
                break
            after = rows[-1].started_at, rows[-1].activity_id
        more = len(found) > size
        shown = found[:size]
        messages = await self._with_counts(user_id, [row.message for row in shown])
        last = (shown[-1].started_at, shown[-1].activity_id) if more else None
        return Page(messages, last)

    async def _with_counts(self, user_id: uuid.UUID, messages: Sequence[bytes]) -> Sequence[bytes]:
        """The messages, those of live activities with their samples of by now."""
        live = {
            index: activity
            for index, activity in enumerate(map(_if_live, messages))
            if activity is not None
        }
        if not live:
            return messages
        ids = {index: uuid.UUID(each.name.rsplit("/", 1)[1]) for index, each in live.items()}
        counts = await self.store.live_counts(user_id, list(ids.values()))
        filled = list(messages)
        for index, activity in live.items():
            activity.sample_count = counts.get(ids[index], 0)
            filled[index] = activity.SerializeToString()
        return filled

    async def update(
        self, activity: SessionKey, wanted: Editable, mask: Sequence[str], etag: str
    ) -> bytes:
        """Changes what an athlete may change; answers with the activity, serialised.

        Raises:
            ActivityNotFound, EtagMismatch, FieldInvalid
        """
        for _ in range(TRIES):
            stored = await self.store.activity(activity)
            update = changes.decide_update(_version(stored), wanted, mask, etag)
            existing = _existing(stored)
            if not update.changed:
                return await self.activity(activity)
            message = _changed(existing, update.editable, self.clock())
            if await self._save(activity, existing, message, corrects=update.corrects_totals):
                return await self.activity(activity)
        raise EtagMismatch("the activity keeps changing", field="etag")

    async def _save(
        self,
        activity: SessionKey,
        stored: StoredActivity,
        message: activity_pb2.Activity,
        *,
        corrects: bool,
    ) -> bool:
        encoded = message.SerializeToString()
        if not corrects:
            return await self.store.change(activity, stored.version, message.sport, encoded)
        before = events_pb2.ActivityTotals.FromString(stored.totals or b"")
        after = encoding.totals_of(message)
        return await self.store.correct(
            activity,
            stored.version,
            message.sport,
            encoded,
            after.SerializeToString(),
            events.activity_corrected(before, after),
        )

    async def delete(self, activity: SessionKey, etag: str) -> None:
        """Deletes an activity with its samples; again, does nothing.

        Raises:
            ActivityNotFound: it never was. EtagMismatch
        """
        for _ in range(TRIES):
            stored = await self.store.activity(activity)
            action = changes.decide_delete(_version(stored), etag)
            if stored is None or action is DeleteAction.NOTHING:
                return
            event = None
            if action is DeleteAction.DELETE_COUNTED:
                before = events_pb2.ActivityTotals.FromString(stored.totals or b"")
                event = events.activity_deleted(before)
            if await self.store.delete(activity, stored.version, event):
                self.live.offer(activity.activity, deleted_event())
                return
        raise EtagMismatch("the activity keeps changing", field="etag")


def _existing(stored: StoredActivity | None) -> StoredActivity:
    if stored is None or stored.deleted:
        raise ActivityNotFound("there is no such activity")
    return stored


def _version(stored: StoredActivity | None) -> ActivityVersion | None:
    if stored is None:
        return None
    message = activity_pb2.Activity.FromString(stored.message)
    return ActivityVersion(
        etag=message.etag,
        editable=Editable(message.title, message.notes, Sport(message.sport)),
        finished=stored.totals is not None,
        deleted=stored.deleted,
    )


def _changed(stored: StoredActivity, editable: Editable, now: datetime) -> activity_pb2.Activity:
    message = activity_pb2.Activity.FromString(stored.message)
    message.title = editable.title
    message.notes = editable.notes
    message.sport = editable.sport.value  # type: ignore[assignment]
    encoding.changed(message, stored.version + 1, now)
    return message


def _if_live(message: bytes) -> activity_pb2.Activity | None:
    """The activity where it is live; looked for in the bytes, for few are."""
    if _LIVE_FIELD not in message:
        return None
    activity = activity_pb2.Activity.FromString(message)
    return activity if activity.state == encoding.LIVE else None


# Field 2 (state) with the value LIVE: cheaper to look for than to parse each message.
_LIVE_FIELD: Final = activity_pb2.Activity(state=encoding.LIVE).SerializeToString()


def _time(ms: int) -> datetime:
    """A bound of starts; beyond what a timestamp can say, its end."""
    try:
        return min(max(_EPOCH + ms * _MS, _EARLIEST), _LATEST)
    except OverflowError:
        return _EARLIEST if ms < 0 else _LATEST


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS
