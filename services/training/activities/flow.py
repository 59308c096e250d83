"""Use cases of activities: read, list, correct, delete."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from mesh.runtime import rendering
from mesh.runtime.clock import Clock
from palestra.training.v1 import activity_pb2, events_pb2
from services.training import events
from services.training.activities import encoding
from services.training.activities.rules import changes
from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.changes import ActivityVersion, DeleteAction, Editable
from services.training.activities.rules.errors import ActivityNotFound, EtagMismatch
from services.training.activities.rules.filtering import ActivityFilter, parse_filter, parse_order
from services.training.activities.rules.sports import Sport
from services.training.activities.store import (
    ActivityStore,
    Forms,
    Listed,
    Place,
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


class Shown(NamedTuple):
    """What of a list's rows is shown."""

    messages: Sequence[bytes | None]
    jsons: Sequence[bytes | None]
    """None where it is live, or older than the form; nothing where nobody asked for JSON."""
    any_live: bool
    """Whether samples are still coming of one; of messages only."""


class Page(NamedTuple):
    """Some activities, serialised or as JSON, and where the next ones begin."""

    activities: Sequence[bytes]
    after: Place | None


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

    async def rendered(self, activity: SessionKey) -> tuple[bytes, str]:
        """An activity as JSON, and its etag.

        Raises:
            ActivityNotFound
        """
        found = await self.store.rendered(activity)
        if found is not None:
            return found[0], str(found[1])
        message = activity_pb2.Activity.FromString(await self.activity(activity))
        return rendering.json_of(message), message.etag

    async def page(
        self,
        user_id: uuid.UUID,
        filter_text: str,
        order_by: str,
        size: int,
        after: Place | None,
        *,
        rendered: bool = False,
    ) -> Page:
        """A page of a person's activities; as JSON where `rendered`.

        Raises:
            FilterInvalid, FieldInvalid
        """
        wanted = parse_filter(filter_text)
        descending = parse_order(order_by)
        if wanted.matches_nothing:
            return Page([], None)
        window = window_of(wanted, descending=descending, limit=size + 1, after=after)
        rows = await self.store.listed(user_id, window, rendered=rendered)
        if wanted.except_ms:
            shown, last = await self._filled(user_id, wanted, window, rows, rendered=rendered)
        else:
            any_live = not rendered and rows.any_live(size)
            shown = Shown(rows.messages[:size], rows.jsons[:size], any_live)
            last = _place(rows, size - 1) if len(rows) > size else None
        answer = self._as_json if rendered else self._as_messages
        return Page(await answer(user_id, shown), last)

    async def _filled(
        self,
        user_id: uuid.UUID,
        wanted: ActivityFilter,
        window: Window,
        rows: Listed,
        *,
        rendered: bool,
    ) -> tuple[Shown, Place | None]:
        """A page where a filter with "!=" may leave some out: it is filled up."""
        size = window.limit - 1
        found: list[tuple[Listed, int]] = []
        while True:
            found += [
                (rows, index)
                for index in range(len(rows))
                if _ms(_place(rows, index)[0]) not in wanted.except_ms
            ]
            if len(found) > size or len(rows) <= size:
                break
            window = window._replace(after=_place(rows, len(rows) - 1))
            rows = await self.store.listed(user_id, window, rendered=rendered)
        shown = found[:size]
        last = None
        if len(found) > size:
            rows, index = shown[-1]
            last = _place(rows, index)
        messages = [each.messages[index] for each, index in shown]
        jsons = [each.jsons[index] for each, index in shown] if rendered else []
        return Shown(messages, jsons, any(each.any_live(size + 1) for each, _ in shown)), last

    async def _as_messages(self, user_id: uuid.UUID, shown: Shown) -> Sequence[bytes]:
        messages = _whole(shown.messages)
        return await self._with_counts(user_id, messages) if shown.any_live else messages

    async def _as_json(self, user_id: uuid.UUID, shown: Shown) -> Sequence[bytes]:
        """The rows' JSON; made here of those that are live, or older than the form."""
        found = list(shown.jsons)
        without = [index for index, json in enumerate(found) if json is None]
        if without:
            bare = _whole([shown.messages[index] for index in without])
            for index, message in zip(without, await self._with_counts(user_id, bare), strict=True):
                found[index] = rendering.json_of(activity_pb2.Activity.FromString(message))
        return _whole(found)

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
            if await self._save(activity, existing, message, corrects=update.corrects):
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
        forms = Forms(
            message.sport, message.audience, message.SerializeToString(), encoding.json_of(message)
        )
        if not corrects:
            return await self.store.change(activity, stored.version, forms)
        before = events_pb2.ActivityTotals.FromString(stored.totals or b"")
        after = encoding.totals_of(message)
        return await self.store.correct(
            activity,
            stored.version,
            forms,
            after.SerializeToString(),
            events.activity_corrected(before, after, message.audience),
        )

    async def decide_audience(self, activity: SessionKey, audience: Audience) -> None:
        """Says for whom a finished activity is that could not say it; else does nothing.

        Raises:
            EtagMismatch: it keeps changing.
        """
        for _ in range(TRIES):
            stored = await self.store.activity(activity)
            if stored is None or stored.deleted or stored.totals is None:
                return
            message = activity_pb2.Activity.FromString(stored.message)
            if message.audience:
                return
            message.audience = audience.value  # type: ignore[assignment]
            encoding.changed(message, stored.version + 1, self.clock())
            if await self._save(activity, stored, message, corrects=True):
                return
        raise EtagMismatch("the activity keeps changing", field="etag")

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


def window_of(
    wanted: ActivityFilter, *, descending: bool, limit: int, after: Place | None
) -> Window:
    """The part of a person's activities that a filter is about, but for what it leaves out."""
    return Window(
        sports=None if wanted.has_all_sports else [each.value for each in wanted.sports],
        started_from=_time(wanted.from_ms),
        started_before=_time(wanted.to_ms + 1),
        descending=descending,
        limit=limit,
        after=after,
    )


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
        editable=Editable(
            message.title, message.notes, Sport(message.sport), Audience(message.audience)
        ),
        finished=stored.totals is not None,
        deleted=stored.deleted,
    )


def _changed(stored: StoredActivity, editable: Editable, now: datetime) -> activity_pb2.Activity:
    message = activity_pb2.Activity.FromString(stored.message)
    message.title = editable.title
    message.notes = editable.notes
    message.sport = editable.sport.value  # type: ignore[assignment]
    message.audience = editable.audience.value  # type: ignore[assignment]
    encoding.changed(message, stored.version + 1, now)
    return message


def _place(rows: Listed, index: int) -> Place:
    message = rows.messages[index]
    return rows.place(index) if message is None else encoding.place_of(message)


def _whole(forms: Sequence[bytes | None]) -> list[bytes]:
    """The forms, none of which is missing."""
    return [each for each in forms if each is not None]


def _if_live(message: bytes) -> activity_pb2.Activity | None:
    """The activity where it is live; looked for in the bytes, for few are."""
    if _LIVE_FIELD not in message:
        return None
    activity = activity_pb2.Activity.FromString(message)
    return activity if activity.state == encoding.LIVE else None


# Field 2 (state) with the value LIVE: cheaper to look for than to parse each message.
_LIVE_FIELD: Final = activity_pb2.Activity(state=encoding.LIVE).SerializeToString()


@lru_cache(maxsize=1024)
def _time(ms: int) -> datetime:
    """A bound of starts; beyond what a timestamp can say, its end."""
    try:
        return min(max(_EPOCH + ms * _MS, _EARLIEST), _LATEST)
    except OverflowError:
        return _EARLIEST if ms < 0 else _LATEST


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS
