"""Sessions and their chunks, activities and their streams, progress by day."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE sessions (
            user_id uuid NOT NULL,
            session_id uuid NOT NULL,
            epoch bigint NOT NULL,
            last_seq bigint NOT NULL,
            sample_count bigint NOT NULL,
            closed boolean NOT NULL,
            clock_offset_ms bigint,
            clock_round_trip_ms bigint,
            touched_at timestamptz NOT NULL,
            fingerprint bytea NOT NULL,
            description bytea NOT NULL,
            PRIMARY KEY (user_id, session_id)
        ) WITH (fillfactor = 50)
    """)
    # Sensor columns hardly shrink under a general compressor; they are packed when they end.
    op.execute("ALTER TABLE sessions ALTER description SET STORAGE EXTERNAL")
    op.execute("""
        CREATE TABLE chunks (
            user_id uuid NOT NULL,
            session_id uuid NOT NULL,
            first_seq bigint NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (user_id, session_id, first_seq)
        )
    """)
    op.execute("ALTER TABLE chunks ALTER body SET STORAGE EXTERNAL")
    op.execute("""
        CREATE TABLE activities (
            user_id uuid NOT NULL,
            activity_id uuid NOT NULL,
            state smallint NOT NULL,
            sport smallint NOT NULL,
            started_at timestamptz NOT NULL,
            version bigint NOT NULL,
            event_version bigint NOT NULL,
            totals bytea,
            message bytea NOT NULL,
            deleted_at timestamptz,
            PRIMARY KEY (user_id, activity_id)
        )
    """)
    op.execute("""
        CREATE INDEX activities_by_start ON activities (user_id, started_at DESC, activity_id DESC)
        WHERE deleted_at IS NULL
    """)
    op.execute("""
        CREATE TABLE streams (
            user_id uuid NOT NULL,
            activity_id uuid NOT NULL,
            channel smallint NOT NULL,
            body bytea NOT NULL,
            PRIMARY KEY (user_id, activity_id, channel)
        )
    """)
    op.execute("ALTER TABLE streams ALTER body SET STORAGE EXTERNAL")
    op.execute("""
        CREATE TABLE progress_days (
            user_id uuid NOT NULL,
            local_date date NOT NULL,
            sport smallint NOT NULL,
            activity_count integer NOT NULL,
            elapsed_ms bigint NOT NULL,
            moving_ms bigint NOT NULL,
            distance_mm bigint NOT NULL,
            ascent_mm bigint NOT NULL,
            PRIMARY KEY (user_id, local_date, sport)
        )
    """)
