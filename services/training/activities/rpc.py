"""ActivityService: decode, call, encode."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask

from mesh.runtime import Call, masks, names, pages, rendering, wire
from mesh.runtime.errors import MeshError
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities.flow import ActivityFlow
from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.changes import Editable
from services.training.activities.rules.sports import Sport
from services.training.activities.watching import WatchFlow
from services.training.keys import SessionKey
from services.training.samples.flow import SampleFlow, Samples
from services.training.samples.json_streams import streams_json
from services.training.sharing.flow import SharingFlow

DEFAULT_PAGE_SIZE: Final = 20


class ActivityRpc:
    """Serves palestra.training.v1.ActivityService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ActivityService"]

    def __init__(
        self,
        flow: ActivityFlow,
        samples: SampleFlow,
        watching: WatchFlow,
        sharing: SharingFlow,
    ) -> None:
        self._sharing = sharing
        self._flow = flow
        self._samples = samples
        self._watching = watching

    async def GetActivity(self, request: pb.GetActivityRequest, call: Call) -> bytes:
        activity = _key(request.name)
        if activity.user_id != call.signed_in.id:
            seen = await self._sharing.activity(call.signed_in.id, activity, rendered=call.renders)
            return _resource(request.read_mask, seen, call)
        if call.renders:
            json, etag = await self._flow.rendered(activity)
            shown = rendering.only(request.read_mask, activity_pb2.Activity, json)
            return rendering.resource("activity", shown, etag)
        message = await self._flow.activity(activity)
        return wire.embed(1, [_masked(request.read_mask, message)])

    async def ListActivities(self, request: pb.ListActivitiesRequest, call: Call) -> bytes:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        same = f"{request.parent}\0{request.filter}\0{request.order_by}"
        if user_id != call.signed_in.id:
            return await self._others(request, user_id, same, call)
        page = await self._flow.page(
            user_id,
            request.filter,
            request.order_by,
            request.page_size or DEFAULT_PAGE_SIZE,
            _place(pages.cursor(same, request.page_token)),
            rendered=call.renders,
        )
        token = _token(same, page.after)
        if call.renders:
            return _list_as_json(request.read_mask, page.activities, token)
        shown = page.activities
        if request.read_mask.paths:
            shown = [_masked(request.read_mask, each) for each in shown]
        answer = wire.embed(1, shown)
        return answer + wire.embed(2, [token.encode()]) if token else answer

    async def _others(
        self, request: pb.ListActivitiesRequest, owner: uuid.UUID, same: str, call: Call
    ) -> bytes:
        page = await self._sharing.page(
            call.signed_in.id,
            owner,
            request.filter,
            request.order_by,
            request.page_size or DEFAULT_PAGE_SIZE,
            _after(pages.cursor(same, request.page_token)),
            rendered=call.renders,
        )
        # Where in time it stands is told to nobody: the last one's name is all that it says.
        token = pages.token(same, [str(page.after)]) if page.after else ""
        if call.renders:
            return _list_as_json(request.read_mask, page.activities, token)
        shown = [_masked(request.read_mask, each) for each in page.activities]
        return wire.embed(1, shown) + (wire.embed(2, [token.encode()]) if token else b"")

    async def UpdateActivity(self, request: pb.UpdateActivityRequest, call: Call) -> bytes:
        activity = request.activity
        message = await self._flow.update(
            _key(activity.name, "activity.name"),
            Editable(
                activity.title, activity.notes, Sport(activity.sport), Audience(activity.audience)
            ),
            list(request.update_mask.paths),
            activity.etag,
        )
        return wire.embed(1, [message])

    async def DeleteActivity(
        self, request: pb.DeleteActivityRequest, call: Call
    ) -> pb.DeleteActivityResponse:
        await self._flow.delete(_key(request.name), request.etag)
        return pb.DeleteActivityResponse()

    async def GetActivityStreams(
        self, request: pb.GetActivityStreamsRequest, call: Call
    ) -> pb.GetActivityStreamsResponse:
        found = await self._drawn(request, call)
        response = pb.GetActivityStreamsResponse(
            start_time_ms=found.start_ms,
            time_ms=found.streams.time_ms.astype("<i8").tobytes(),
            cuts=found.streams.cuts or (),
        )
        for channel, values in found.streams.channels.items():
            response.columns.add(
                channel=channel,
                unit=found.units[channel],
                values=values.astype("<f8", copy=False).tobytes(),
            )
        return response

    async def DownloadActivityStreams(
        self, request: pb.DownloadActivityStreamsRequest, call: Call
    ) -> HttpBody:
        found = await self._drawn(request, call)
        return HttpBody(
            content_type="application/json", data=streams_json(found.streams, found.decimals)
        )

    async def _drawn(
        self, request: pb.GetActivityStreamsRequest | pb.DownloadActivityStreamsRequest, call: Call
    ) -> Samples:
        activity = _key(request.name)
        resolution = request.resolution if request.HasField("resolution") else None
        if activity.user_id == call.signed_in.id:
            return await self._samples.samples(activity, request.channels, resolution)
        return await self._sharing.drawn(call.signed_in.id, activity, request.channels, resolution)

    async def WatchActivity(
        self, request: pb.WatchActivityRequest, call: Call
    ) -> AsyncIterator[bytes]:
        async with aclosing(self._watching.watch(_key(request.name))) as events:
            async for event in events:
                yield event


def _key(name: str, field: str = "name") -> SessionKey:
    return SessionKey(*names.parse(name, "users", "activities", field=field))


def _resource(mask: FieldMask, seen: bytes, call: Call) -> bytes:
    """Without an etag: it would tell that something changed which is hidden."""
    if call.renders:
        shown = rendering.only(mask, activity_pb2.Activity, seen)
        return rendering.resource("activity", shown, "")
    return wire.embed(1, [_masked(mask, seen)])


def _masked(mask: FieldMask, message: bytes) -> bytes:
    if not mask.paths:
        return message
    activity = activity_pb2.Activity.FromString(message)
    masks.keep_only(mask, activity)
    return activity.SerializeToString()


def _list_as_json(mask: FieldMask, activities: Sequence[bytes], token: str) -> bytes:
    if mask.paths:
        activities = [rendering.only(mask, activity_pb2.Activity, each) for each in activities]
    return rendering.joined("activities", activities, {"nextPageToken": token})


def _token(same: str, after: tuple[datetime, uuid.UUID] | None) -> str:
    return pages.token(same, list(after)) if after else ""


def _after(cursor: list[Any] | None) -> uuid.UUID | None:
    if cursor is None:
        return None
    try:
        (activity_id,) = cursor
        return uuid.UUID(activity_id)
    except (ValueError, TypeError, AttributeError):
        raise MeshError("PAGE_TOKEN_INVALID") from None


def _place(cursor: list[Any] | None) -> tuple[datetime, uuid.UUID] | None:
    if cursor is None:
        return None
    # Anybody can make a token, so that its content is as little to be trusted as its shape.
    try:
        at, activity_id = cursor
        started_at = datetime.fromisoformat(at)
        place = started_at, uuid.UUID(activity_id)
    except (ValueError, TypeError, AttributeError):
        raise MeshError("PAGE_TOKEN_INVALID") from None
    if started_at.tzinfo is None:
        raise MeshError("PAGE_TOKEN_INVALID")
    return place
