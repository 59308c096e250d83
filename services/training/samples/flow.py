"""Use cases of an activity's samples: read, thinned, as columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mesh.runtime.errors import Unavailable
from palestra.training.v1 import telemetry_pb2
from services.training.keys import SessionKey
from services.training.samples.encoding import stored_channels
from services.training.samples.rules import archive, chunks, columns
from services.training.samples.rules.channels import ChannelSpec, Encoding
from services.training.samples.rules.errors import ActivityNotFound
from services.training.samples.rules.streams import (
    DEFAULT_RESOLUTION,
    Streams,
    decimals_of,
    downsample,
)
from services.training.samples.store import TIMES, SampleStore, StoredSamples

TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Samples:
    """An activity's samples as they are asked for."""

    start_ms: int
    """By the device's clock, ms since 1970."""
    streams: Streams
    units: Mapping[str, str]
    decimals: Mapping[str, int]

    def drawn(self, streams: Streams, resolution: int | None) -> Samples:
        """What of these is answered: without empty rows, at most so many points."""
        limit = DEFAULT_RESOLUTION if resolution is None else resolution
        return replace(self, streams=downsample(_measured(streams), limit))


@dataclass(frozen=True, slots=True)
class SampleFlow:
    """Reading samples."""

    store: SampleStore

    async def samples(
        self, activity: SessionKey, wanted: Sequence[str], resolution: int | None
    ) -> Samples:
        """The samples of the channels `wanted`, all where none is named; unknown ones are left out.

        Rows in which none of the channels has a value are left out too.

        Raises:
            ActivityNotFound
        """
        found = await self.recorded(activity, wanted)
        return found.drawn(found.streams, resolution)

    async def recorded(self, activity: SessionKey, wanted: Collection[str]) -> Samples:
        """The same, with every row.

        Raises:
            ActivityNotFound
        """
        for _ in range(TRIES):
            about = await self.store.samples(activity)
            if about is None:
                raise ActivityNotFound("there is no such activity")
            description = telemetry_pb2.SessionDescription.FromString(about.description)
            specs = stored_channels(description)
            chosen = [i for i, spec in enumerate(specs) if not wanted or spec.name in wanted]
            joined = await self._columns(activity, about, specs, chosen)
            if joined is not None:
                break
        else:
            raise Unavailable("the activity keeps changing")
        start_ms = description.start_time.ToMilliseconds()
        values = {
            specs[index].name: columns.measured(specs[index], joined.channels[place])
            for place, index in enumerate(chosen)
        }
        return Samples(
            start_ms,
            Streams(joined.time_ms - start_ms, values),
            {specs[index].name: specs[index].unit for index in chosen},
            _decimals(specs),
        )

    async def _columns(
        self,
        activity: SessionKey,
        about: StoredSamples,
        specs: Sequence[ChannelSpec],
        chosen: Sequence[int],
    ) -> columns.SessionColumns | None:
        """The samples; None where they are not where they were a moment ago: it ended, or went."""
        if about.closed:
            bodies = await self.store.streams(activity, chosen)
            if TIMES not in bodies:
                return None
            return columns.SessionColumns(
                archive.decode_times(bodies[TIMES]),
                tuple(archive.decode_column(bodies[index]) for index in chosen),
            )
        body = await self.store.chunks(activity)
        if about.sample_count and not body:
            return None
        joined = columns.join(chunks.decode_chunk(body, specs), specs)
        return columns.SessionColumns(
            joined.time_ms, tuple(joined.channels[index] for index in chosen)
        )


def _measured(streams: Streams) -> Streams:
    """Without the rows that other channels have made, such as beats between seconds."""
    if not streams.channels:
        return streams.kept(np.zeros(len(streams.time_ms), dtype=np.bool_))
    empty = np.ones(len(streams.time_ms), dtype=np.bool_)
    for values in streams.channels.values():
        empty &= np.isnan(values)
        if not empty.any():
            return streams
    return streams.kept(~empty)


def _decimals(specs: Sequence[ChannelSpec]) -> dict[str, int]:
    return {
        spec.name: decimals_of(spec.scale, spec.offset)
        for spec in specs
        if spec.encoding is Encoding.INT32
    }
