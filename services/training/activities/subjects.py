"""What is kept of a person's activities."""

from __future__ import annotations

from mesh.runtime import rendering
from mesh.runtime.subjects import Rows
from palestra.training.v1 import activity_pb2
from services.training.tables import ACTIVITIES


def _activity(message: bytes) -> object:
    return rendering.dict_of(activity_pb2.Activity.FromString(message))


SUBJECTS = (
    Rows(
        ACTIVITIES,
        without={
            "state": "the message tells it",
            "sport": "the message tells it",
            "audience": "the message tells it",
            "totals": "sums of the message",
            "json": "the message, as another text",
        },
        shown={"message": _activity},
    ),
)
