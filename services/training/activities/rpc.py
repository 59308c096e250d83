"""ActivityService: decode, call, encode."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask

from mesh.runtime import Call, masks, names, pages, wire
from mesh.runtime.errors import MeshError
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from services.training.activities.flow import ActivityFlow
from services.training.activities.rules.changes import Editable
from services.training.activities.rules.sports import Sport
from services.training.activities.watching import WatchFlow
from services.training.keys import SessionKey
from services.training.samples.flow import SampleFlow
from services.training.samples.json_streams import streams_json

DEFAULT_PAGE_SIZE: Final = 20


class ActivityRpc:
    """Serves palestra.training.v1.ActivityService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ActivityService"]

    def __init__(self, flow: ActivityFlow, samples: SampleFlow, watching: WatchFlow) -> None:
        self._flow = flow
        self._samples = samples
        self._watching = watching

    async def GetActivity(self, request: pb.GetActivityRequest, call: Call) -> bytes:
        message = await self._flow.activity(_key(request.name))
        return wire.embed(1, [_masked(request.read_mask, message)])

    async def ListActivities(self, request: pb.ListActivitiesRequest, call: Call) -> bytes:
        (user_id,) = names.parse(request.parent, "users", field="parent")
        same = f"{request.parent}\0{request.filter}\0{request.order_by}"
        page = await self._flow.page(
            user_id,
            request.filter,
            request.order_by,
            request.page_size or DEFAULT_PAGE_SIZE,
            _place(pages.cursor(same, request.page_token)),
        )
        answer = wire.embed(1, [_masked(request.read_mask, each) for each in page.messages])
        if page.after is None:
            return answer
        started_at, activity_id = page.after
        token = pages.token(same, [started_at.isoformat(), str(activity_id)])
        return answer + wire.embed(2, [token.encode()])

    async def UpdateActivity(self, request: pb.UpdateActivityRequest, call: Call) -> bytes:
        activity = request.activity
        message = await self._flow.update(
            _key(activity.name, "activity.name"),
            Editable(activity.title, activity.notes, Sport(activity.sport)),
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
        resolution = request.resolution if request.HasField("resolution") else None
        found = await self._samples.samples(_key(request.name), request.channels, resolution)
        response = pb.GetActivityStreamsResponse(
            start_time_ms=found.start_ms,
            time_ms=found.streams.time_ms.astype("<i8").tobytes(),
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
        resolution = request.resolution if request.HasField("resolution") else None
        found = await self._samples.samples(_key(request.name), request.channels, resolution)
        return HttpBody(
            content_type="application/json", data=streams_json(found.streams, found.decimals)
        )

    async def WatchActivity(
        self, request: pb.WatchActivityRequest, call: Call
    ) -> AsyncIterator[bytes]:
        async with aclosing(self._watching.watch(_key(request.name))) as events:
            async for event in events:
                yield event


def _key(name: str, field: str = "name") -> SessionKey:
    return SessionKey(*names.parse(name, "users", "activities", field=field))


def _masked(mask: FieldMask, message: bytes) -> bytes:
    if not mask.paths:
        return message
    activity = activity_pb2.Activity.FromString(message)
    masks.keep_only(mask, activity)
    return activity.SerializeToString()


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
