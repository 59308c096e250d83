"""ProgressService: decode, call, encode."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from typing import Literal

from google.type.date_pb2 import Date

from mesh.runtime import Call, names
from mesh.runtime.errors import invalid_field
from palestra.training.v1 import progress_service_pb2 as pb
from services.training.progress.flow import ProgressFlow
from services.training.progress.rules import Amount, DayKey, Period


class ProgressRpc:
    """Serves palestra.training.v1.ProgressService."""

    CONTRACT = pb.DESCRIPTOR.services_by_name["ProgressService"]

    def __init__(self, flow: ProgressFlow) -> None:
        self._flow = flow

    async def GetProgress(
        self, request: pb.GetProgressRequest, call: Call
    ) -> pb.GetProgressResponse:
        user_id = _user(request.name)
        period = Period.of_contract(request.period)
        totals = await self._flow.totals(
            user_id,
            period,
            _date(request, "start_date"),
            _date(request, "end_date"),
            request.sports,
        )
        return _encode(user_id, period, totals)


def _user(name: str) -> uuid.UUID:
    (user_id,) = names.parse(name.removesuffix("/progress"), "users")
    return user_id


def _date(request: pb.GetProgressRequest, field: Literal["start_date", "end_date"]) -> date | None:
    if not request.HasField(field):
        return None
    day: Date = getattr(request, field)
    try:
        return date(day.year, day.month, day.day)
    except ValueError as error:
        raise invalid_field(field, str(error)) from None


def _encode(
    user_id: uuid.UUID, period: Period, totals: Sequence[tuple[DayKey, Amount]]
) -> pb.GetProgressResponse:
    response = pb.GetProgressResponse()
    response.progress.name = f"users/{user_id}/progress"
    response.progress.period = period.value  # type: ignore[assignment]
    for key, amount in totals:
        response.progress.totals.add(
            start_date=Date(year=key.day.year, month=key.day.month, day=key.day.day),
            sport=key.sport,
            activity_count=amount.activity_count,
            elapsed_s=amount.elapsed_ms / 1000,
            moving_s=amount.moving_ms / 1000,
            distance_m=amount.distance_mm / 1000,
            ascent_m=amount.ascent_mm / 1000,
        )
    return response
