"""Somebody who looks at another person's activities, by each way that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import orjson
from google.api.httpbody_pb2 import HttpBody

from mesh.runtime.conditions import OVER_REST
from palestra.identity.v1.privacy_zone_service_pb2 import Circle
from palestra.training.v1 import activity_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from tests.support.grpc_errors import reason_of
from tests.support.recorded_sessions import Recorded
from tests.support.served import Metadata
from tests.support.training_athlete import Athlete, activities
from tests.support.training_worker import Worker
from tests.support.ways import places_within

SERVICE = "/palestra.training.v1.ActivityService/"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person at a worker."""

    worker: Worker
    person: Athlete
    more: Metadata = ()

    @property
    def metadata(self) -> Metadata:
        return (*self.person.metadata, *self.more)

    async def get(self, session: Recorded) -> activity_pb2.Activity:
        request = pb.GetActivityRequest(name=session.activity)
        answer = await activities(self.worker).GetActivity(request, metadata=self.metadata)
        return answer.activity

    async def page(self, owner: Athlete, **fields: Any) -> pb.ListActivitiesResponse:
        request = pb.ListActivitiesRequest(parent=owner.name, **fields)
        return await activities(self.worker).ListActivities(request, metadata=self.metadata)

    async def listed(self, owner: Athlete, **fields: Any) -> list[str]:
        """The names on all pages, none of which is empty unless it is the only one."""
        names: list[str] = []
        token = ""
        while True:
            page = await self.page(owner, page_token=token, **fields)
            assert page.activities or not page.next_page_token
            assert page.activities or not names, "an empty page after others"
            names += [each.name for each in page.activities]
            token = page.next_page_token
            if not token:
                return names

    async def streams(self, session: Recorded, **fields: Any) -> pb.GetActivityStreamsResponse:
        request = pb.GetActivityStreamsRequest(name=session.activity, **fields)
        return await activities(self.worker).GetActivityStreams(request, metadata=self.metadata)

    async def json(self, method: str, request: Any) -> Any:
        """What the edge passes on of a call over REST."""
        call = self.worker.channel.unary_unary(
            SERVICE + method,
            request_serializer=lambda each: each.SerializeToString(),
            response_deserializer=HttpBody.FromString,
        )
        body = await call(request, metadata=(*self.metadata, (OVER_REST, "/v1/x")))
        return orjson.loads(body.data)

    async def everything(self, session: Recorded, owner: Athlete) -> dict[str, Any]:
        """All that can be had of an activity, by each way, each with its name in words."""
        found: dict[str, Any] = {"get": await self.get(session)}
        page = await self.page(owner, page_size=200)
        found["list"] = [each for each in page.activities if each.name == session.activity]
        get = pb.GetActivityRequest(name=session.activity)
        found["get json"] = await self.json("GetActivity", get)
        listing = pb.ListActivitiesRequest(parent=owner.name, page_size=200)
        told = await self.json("ListActivities", listing)
        found["list json"] = [
            each for each in told["activities"] if each["name"] == session.activity
        ]
        for resolution in (0, 30, None):
            found[f"streams {resolution}"] = await self.streams(session, resolution=resolution)
            request = pb.DownloadActivityStreamsRequest(
                name=session.activity, resolution=resolution
            )
            found[f"json {resolution}"] = await self.json("DownloadActivityStreams", request)
        return found

    async def refusal(self, session: Recorded) -> set[str]:
        """How each way refuses one activity."""
        told = set()
        for call in (self.get(session), self.streams(session)):
            try:
                await call
                told.add("")
            except grpc.aio.AioRpcError as error:
                told.add(f"{error.code().name} {reason_of(error)} {error.details()}")
        return told

    async def sees(self, session: Recorded, owner: Athlete) -> bool:
        """By each way alike."""
        ways = {session.activity in await self.listed(owner)}
        ways |= {told == "" for told in await self.refusal(session)}
        (found,) = ways
        return found


def columns(answer: pb.GetActivityStreamsResponse) -> dict[str, list[float | None]]:
    """Values by channel, None for none."""
    return {
        each.channel: [
            None if np.isnan(value) else float(value)
            for value in np.frombuffer(each.values, dtype="<f8")
        ]
        for each in answer.columns
    }


def within(found: dict[str, Any], circle: Circle) -> int:
    """How many places of all that was had lie within a circle."""
    count = 0
    for way, answer in found.items():
        if way.startswith("streams"):
            channels: dict[str, Any] = columns(answer)
        elif way.startswith("json"):
            channels = answer["channels"]
        else:
            continue
        count += places_within(channels["LATITUDE"], channels["LONGITUDE"], circle)
    return count
