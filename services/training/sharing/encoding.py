"""What others see of an activity, as the contract's message.

Owns which fields are theirs. A field that nobody names here stays its owner's.
"""

from __future__ import annotations

from typing import Final

from palestra.training.v1 import activity_pb2
from services.training.activities import encoding
from services.training.activities.rules.summary import Summary
from services.training.sharing.rules.shown import CHANNELS, PLACES, about_when

_TOLD: Final = frozenset({"name", "state", "sport", "title", "utc_offset_s"})


def bare(activity: activity_pb2.Activity) -> activity_pb2.Activity:
    """What tells nothing of where it was: not even how far."""
    told = activity_pb2.Activity()
    for field, value in activity.ListFields():
        if field.name in _TOLD:
            setattr(told, field.name, value)
    told.start_time.FromMilliseconds(about_when(activity.start_time.ToMilliseconds()))
    return told


def whole(activity: activity_pb2.Activity) -> activity_pb2.Activity:
    """Of one in which nothing is hidden: the figures that its owner sees, but for his heart."""
    told = bare(activity)
    told.summary.CopyFrom(activity.summary)
    _keep_to_what_is_shown(told.summary)
    return told


def cut(activity: activity_pb2.Activity, summary: Summary) -> activity_pb2.Activity:
    """Of one that was cut: the figures of what is left."""
    told = bare(activity)
    units = {each.channel: each.unit for each in activity.summary.channels}
    told.summary.CopyFrom(encoding.encode_summary(summary, units))
    _keep_to_what_is_shown(told.summary)
    return told


def _keep_to_what_is_shown(summary: activity_pb2.ActivitySummary) -> None:
    kept = [each for each in summary.channels if each.channel in CHANNELS - PLACES]
    del summary.channels[:]
    summary.channels.extend(kept)
    for lap in summary.laps:
        lap.ClearField("average_heart_rate_bpm")
