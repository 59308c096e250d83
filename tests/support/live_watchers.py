"""Watching a live activity over REST and over gRPC: what comes, and when."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx

from palestra.training.v1 import activity_service_pb2, activity_service_pb2_grpc
from palestra_client import open_channel
from tests.support.athletes import Athlete

Seen = list[tuple[float, dict[str, Any]]]
"""When an event came, by the monotonic clock, and the event as REST spells it."""


async def over_rest(athlete: Athlete, activity: str, seen: Seen) -> None:
    """Watches until the stream ends; what comes is added to `seen`."""
    async with (
        httpx.AsyncClient(base_url=athlete.stack.rest_url, timeout=10) as rest,
        rest.stream(
            "GET", f"/v1/{activity}:watch", headers={"authorization": f"Bearer {athlete.token}"}
        ) as answer,
    ):
        assert answer.status_code == httpx.codes.OK
        async for event in _elements(answer.aiter_text()):
            seen.append((time.monotonic(), event))


async def _elements(chunks: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
    """The elements of a JSON array, each as soon as it is whole."""
    decoder = json.JSONDecoder()
    text = ""
    async for chunk in chunks:
        text += chunk
        while (text := text.lstrip("[], \n")).startswith("{"):
            try:
                event, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            yield event
            text = text[end:]


async def over_grpc(athlete: Athlete, activity: str, seen: Seen) -> None:
    """The same, and spelt the same."""
    channel = open_channel(athlete.stack.target)
    try:
        stub = activity_service_pb2_grpc.ActivityServiceStub(channel)
        request = activity_service_pb2.WatchActivityRequest(name=activity)
        async for event in stub.WatchActivity(request, metadata=athlete.metadata):
            seen.append((time.monotonic(), _as_json(event)))
    finally:
        await channel.close(None)


def _as_json(event: activity_service_pb2.WatchActivityResponse) -> dict[str, Any]:
    if event.HasField("update"):
        told = event.update
        return {
            "update": {
                "heartRateBpm": told.heart_rate_bpm,
                "speedMps": told.speed_mps,
                "paceSPerKm": told.pace_s_per_km,
                "latitudeDeg": told.latitude_deg,
                "longitudeDeg": told.longitude_deg,
            }
        }
    if event.HasField("ended"):
        reason = activity_service_pb2.WatchEnd.Name(event.ended.reason)
        return {"ended": {"reason": reason}}
    return {"heartbeat": {}}
