"""The peer's tables, filled with what Palestra answers about the same activities.

Owns the schema `peer` of the measured stack's own PostgreSQL. The content is Palestra's
answers, so that both tell the same; the types are those that a table for it would have.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

_TABLES = """
CREATE SCHEMA peer;
CREATE TABLE peer.activities (
    user_id uuid NOT NULL, activity_id uuid NOT NULL,
    state text NOT NULL, sport text NOT NULL, title text NOT NULL, notes text NOT NULL,
    started_at timestamptz NOT NULL, ended_at timestamptz NOT NULL,
    utc_offset_s integer NOT NULL, device text NOT NULL, sample_count bigint NOT NULL,
    summary jsonb NOT NULL, device_summary jsonb NOT NULL,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, version bigint NOT NULL,
    audience text NOT NULL,
    PRIMARY KEY (user_id, activity_id)
);
CREATE INDEX ON peer.activities (user_id, started_at DESC, activity_id DESC);
CREATE TABLE peer.streams (
    user_id uuid NOT NULL, activity_id uuid NOT NULL, place integer NOT NULL,
    channel text NOT NULL, kind text NOT NULL,
    body bytea NOT NULL, points double precision[] NOT NULL,
    PRIMARY KEY (user_id, activity_id, place)
);
ALTER TABLE peer.streams ALTER body SET STORAGE EXTERNAL, ALTER points SET STORAGE EXTERNAL;
"""
_ACTIVITY = f"INSERT INTO peer.activities VALUES ({', '.join(['%s'] * 17)})"
_STREAM = "INSERT INTO peer.streams VALUES (%s, %s, %s, %s, %s, %s, %s)"


def fill(
    database: psycopg.Connection[Any],
    activities: Sequence[Mapping[str, Any]],
    streams: Mapping[str, Mapping[str, Any]],
) -> None:
    """Makes the tables anew: activities, and by name of some, their streams, as answered."""
    database.execute("DROP SCHEMA IF EXISTS peer CASCADE")
    database.execute(_TABLES)
    for activity in activities:
        database.execute(_ACTIVITY, _values(activity))
    for name, told in streams.items():
        columns = {"": told["timeMs"], **told["channels"]}
        for place, (channel, points) in enumerate(columns.items()):
            whole = all(isinstance(point, int) for point in points)
            packed = np.array(points, "<i8" if whole else "<f8")
            values = (*_key(name), place, channel, packed.dtype.str, packed.tobytes(), points)
            database.execute(_STREAM, values)
    database.execute("ANALYZE peer.activities, peer.streams")


def _key(name: str) -> tuple[uuid.UUID, uuid.UUID]:
    _, user, _, activity = name.split("/")
    return uuid.UUID(user), uuid.UUID(activity)


def _values(activity: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        *_key(activity["name"]),
        *(activity[name] for name in ("state", "sport", "title", "notes", "startTime", "endTime")),
        *(activity[name] for name in ("utcOffsetS", "device", "sampleCount")),
        *(Jsonb(activity[name]) for name in ("summary", "deviceSummary")),
        *(activity[name] for name in ("createTime", "updateTime", "etag", "audience")),
    )
