"""Plain words -> a request for progress.

Owns the reading of period, sport and date. Computes no total.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from google.type import date_pb2

from palestra.training.v1 import progress_service_pb2 as pb
from palestra.training.v1 import sport_pb2


def progress_request(
    name: str, period: str, start: str, end: str, sports: Iterable[str]
) -> pb.GetProgressRequest:
    """The request that the words mean.

    Raises:
        ValueError: no such period or sport, or no date.
    """
    request = pb.GetProgressRequest(
        name=name,
        period=pb.Period.Value(f"PERIOD_{period.upper()}"),
        sports=[sport_pb2.Sport.Value(f"SPORT_{sport.upper()}") for sport in sports],
    )
    if start:
        request.start_date.CopyFrom(_date(start))
    if end:
        request.end_date.CopyFrom(_date(end))
    return request


def _date(text: str) -> date_pb2.Date:
    day = date.fromisoformat(text)
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)
