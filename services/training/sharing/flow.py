"""Use cases of other people's activities: one, a list, the samples.

Who may see what is decided by the statement that reads it (`store`). What is seen is made
here, without what is hidden, and kept for the next who asks. Where it is not known what is
hidden, nothing is told from which a place could be worked out.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from mesh.runtime import rendering
from mesh.runtime.errors import MeshError, Unavailable
from palestra.training.v1 import activity_pb2
from services.training.activities.flow import window_of
from services.training.activities.rules.errors import ActivityNotFound
from services.training.activities.rules.filtering import parse_filter, parse_order
from services.training.activities.rules.sports import Sport
from services.training.keys import SessionKey
from services.training.samples.flow import SampleFlow, Samples
from services.training.samples.rules.streams import Streams
from services.training.sharing import encoding
from services.training.sharing.rules.shown import (
    CHANNELS,
    PLACES,
    START_GRAIN_MS,
    Shown,
    about_when,
    has_places,
    shown,
    summary,
)
from services.training.sharing.rules.zones import Circle, digest
from services.training.sharing.store import Form, ForOthers, SharingStore
from services.training.sharing.zones import Zones

CUT_AT_ONCE: Final = 10
"""Tracks that one call cuts; a list ends its page there."""
MOST_LOOKS: Final = 10
RETRY_AFTER_S: Final = 2.0


class Page(NamedTuple):
    """Some activities, serialised or as JSON, and the last of them where there are more."""

    activities: Sequence[bytes]
    after: uuid.UUID | None


class _Made(NamedTuple):
    """What is seen of some activities, in order, and what of it is to be kept."""

    seen: list[bytes]
    forms: list[Form]
    looked_at: int
    """Of how many: fewer than were asked for where more are to be cut than one call does."""


@dataclass(frozen=True, slots=True)
class SharingFlow:
    """Reading what others let one see."""

    store: SharingStore
    samples: SampleFlow
    zones: Zones
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="shown")
    )

    async def activity(
        self, viewer: uuid.UUID, activity: SessionKey, *, rendered: bool = False
    ) -> bytes:
        """An activity of another person's, serialised; as JSON where `rendered`.

        Raises:
            ActivityNotFound: also where the viewer may not see it.
        """
        found = await self._existing(viewer, activity, rendered=rendered)
        made = await self._seen(viewer, activity.user_id, [found], rendered=rendered)
        if not made.seen:
            raise ActivityNotFound("there is no such activity")
        await self._keep(activity.user_id, made)
        return made.seen[0]

    async def page(
        self,
        viewer: uuid.UUID,
        owner: uuid.UUID,
        filter_text: str,
        order_by: str,
        size: int,
        after: uuid.UUID | None,
        *,
        rendered: bool = False,
    ) -> Page:
        """A page of those of another person's that a viewer may see.

        Where a page says that there are more, something is on it.

        Raises:
            FilterInvalid, FieldInvalid
            MeshError: PAGE_TOKEN_INVALID
        """
        wanted = parse_filter(filter_text)
        descending = parse_order(order_by)
        place = None
        if after is not None:
            place = await self.store.place(SessionKey(owner, after))
            if place is None:
                raise MeshError("PAGE_TOKEN_INVALID")
        # A filter is about what is shown: it must not find out when exactly one began.
        grained = replace(
            wanted,
            from_ms=-(-wanted.from_ms // START_GRAIN_MS) * START_GRAIN_MS,
            to_ms=about_when(wanted.to_ms) + START_GRAIN_MS - 1,
        )
        if grained.matches_nothing:
            return Page([], None)
        for _ in range(MOST_LOOKS):
            window = window_of(grained, descending=descending, limit=size + 1, after=place)
            rows = await self.store.listed(viewer, owner, window, rendered=rendered)
            left = [each for each in rows[:size] if _start_ms(each) not in wanted.except_ms]
            more = len(rows) > size
            if left or not more:
                break
            place = rows[size - 1].started_at, rows[size - 1].activity_id
        else:
            raise Unavailable("too much was left out by the filter", retry_after_s=RETRY_AFTER_S)
        made = await self._seen(viewer, owner, left, rendered=rendered)
        await self._keep(owner, made)
        if made.looked_at < len(left):
            return Page(made.seen, left[made.looked_at - 1].activity_id)
        return Page(made.seen, rows[size - 1].activity_id if more else None)

    async def drawn(
        self,
        viewer: uuid.UUID,
        activity: SessionKey,
        wanted: Sequence[str],
        resolution: int | None,
    ) -> Samples:
        """What a viewer sees of the samples of another person's activity.

        Raises:
            ActivityNotFound: also where the viewer may not see it.
            Unavailable: it is not known now what its owner hides.
        """
        found = await self._existing(viewer, activity, rendered=False)
        chosen = CHANNELS.intersection(wanted) if wanted else CHANNELS
        recorded = await self.samples.recorded(activity, chosen | PLACES)
        circles: Sequence[Circle] = ()
        if has_places(list(recorded.streams.channels)):
            known = await self._circles(activity.user_id, found)
            if known is None:
                raise Unavailable("what is hidden is not known now", retry_after_s=RETRY_AFTER_S)
            circles = known
        seen = shown(recorded.streams.time_ms, recorded.streams.channels, circles)
        columns = {name: values for name, values in seen.columns.items() if name in chosen}
        left = replace(recorded, start_ms=about_when(recorded.start_ms))
        return left.drawn(Streams(seen.time_ms, columns, seen.parts), resolution)

    async def _keep(self, owner: uuid.UUID, made: _Made) -> None:
        if made.forms:
            await self.store.keep(owner, made.forms)

    async def _existing(
        self, viewer: uuid.UUID, activity: SessionKey, *, rendered: bool
    ) -> ForOthers:
        found = await self.store.one(viewer, activity, rendered=rendered)
        if found is None:
            raise ActivityNotFound("there is no such activity")
        return found

    async def _circles(self, owner: uuid.UUID, found: ForOthers) -> Sequence[Circle] | None:
        return await self.zones.of(owner, found.told, heard=found.heard)

    async def _seen(
        self, viewer: uuid.UUID, owner: uuid.UUID, found: Sequence[ForOthers], *, rendered: bool
    ) -> _Made:
        """What is seen of activities of one owner, and what of it is to be kept."""
        made = _Made([], [], 0)
        if not found:
            return made
        circles = await self._circles(owner, found[0])
        cuts = 0
        for place, each in enumerate(found):
            kept = _kept(each, circles)
            if kept is not None:
                made.seen.append(kept)
                continue
            cuts += circles is None or bool(circles)
            if cuts > CUT_AT_ONCE:
                return made._replace(looked_at=place)
            activity = SessionKey(owner, each.activity_id)
            whole: ForOthers | None = each
            if each.message is None:
                whole = await self.store.one(viewer, activity, rendered=rendered, whole=True)
            if whole is None or whole.message is None:
                # Gone a moment ago, or for the viewer no more.
                continue
            told, good = await self._make(activity, whole.message, circles)
            form = Form(
                each.activity_id,
                whole.version,
                digest(circles or ()),
                told.SerializeToString(),
                rendering.json_of(told),
            )
            made.seen.append(form.json if rendered else form.message)
            if good:
                made.forms.append(form)
        return made._replace(looked_at=len(found))

    async def _make(
        self, activity: SessionKey, whole: bytes, circles: Sequence[Circle] | None
    ) -> tuple[activity_pb2.Activity, bool]:
        """What is seen of an activity, and whether it may be kept."""
        message = activity_pb2.Activity.FromString(whole)
        if circles is not None and not circles:
            return encoding.whole(message), True
        try:
            recorded = await self.samples.recorded(activity, CHANNELS)
        except ActivityNotFound:
            # Deleted a moment ago.
            return encoding.bare(message), False
        if not has_places(list(recorded.streams.channels)):
            return encoding.whole(message), circles is not None
        if circles is None:
            return encoding.bare(message), False
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _cut, message, recorded, circles), True


def _cut(
    message: activity_pb2.Activity, recorded: Samples, circles: Sequence[Circle]
) -> activity_pb2.Activity:
    """Tens of milliseconds of a long track: off the loop."""
    seen: Shown = shown(recorded.streams.time_ms, recorded.streams.channels, circles)
    if not seen.cut:
        return encoding.whole(message)
    return encoding.cut(message, summary(seen, Sport(message.sport)))


def _kept(found: ForOthers, circles: Sequence[Circle] | None) -> bytes | None:
    """What was kept, where it is of this version and of what is hidden now."""
    if circles is None or found.shown_version != found.version:
        return None
    return found.shown_form if found.shown_circles == digest(circles) else None


def _start_ms(found: ForOthers) -> int:
    return about_when(int(found.started_at.timestamp() * 1000))
