"""What goes to watchers, as the contract has it: serialised once, for all of them."""

from __future__ import annotations

from collections.abc import Sequence

from palestra.training.v1 import activity_service_pb2 as pb
from services.training.samples.rules.batches import RawBatch
from services.training.samples.rules.channels import ChannelSpec
from services.training.tracker.rules.live import newest_values


def update(batch: RawBatch, channels: Sequence[ChannelSpec], started_ms: int) -> bytes:
    """The newest of a batch, a serialised WatchActivityResponse."""
    newest = newest_values(batch, channels)
    live = pb.LiveUpdate(
        latitude_deg=newest.latitude_deg,
        longitude_deg=newest.longitude_deg,
        altitude_m=newest.altitude_m,
        speed_mps=newest.speed_mps,
        pace_s_per_km=newest.pace_s_per_km,
        heart_rate_bpm=newest.heart_rate_bpm,
        power_w=newest.power_w,
        cadence_rpm=newest.cadence_rpm,
        distance_m=newest.distance_m,
        elapsed_s=(newest.time_ms - started_ms) / 1000,
    )
    live.time.FromMilliseconds(newest.time_ms)
    return pb.WatchActivityResponse(update=live).SerializeToString()
