"""What people tell of themselves, for whom it is, and what they want to reach."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE profiles
            ADD COLUMN card_version bigint NOT NULL DEFAULT 1,
            ADD COLUMN sports smallint[] NOT NULL DEFAULT '{}',
            ADD COLUMN sport_levels smallint[] NOT NULL DEFAULT '{}',
            ADD COLUMN birth_date date,
            ADD COLUMN sex smallint NOT NULL DEFAULT 0,
            ADD COLUMN height_cm double precision,
            ADD COLUMN interests text[] NOT NULL DEFAULT '{}',
            ADD COLUMN city text NOT NULL DEFAULT '',
            ADD COLUMN bio_audience smallint NOT NULL DEFAULT 1,
            ADD COLUMN sports_audience smallint NOT NULL DEFAULT 1,
            ADD COLUMN interests_audience smallint NOT NULL DEFAULT 2,
            ADD COLUMN city_audience smallint NOT NULL DEFAULT 2,
            ADD COLUMN goals_audience smallint NOT NULL DEFAULT 4,
            ADD COLUMN birth_date_audience smallint NOT NULL DEFAULT 4,
            ADD COLUMN sex_audience smallint NOT NULL DEFAULT 4,
            ADD COLUMN height_audience smallint NOT NULL DEFAULT 4
    """)
    # Every change was published until now. What was written when nobody else could read it
    # stays so until its owner opens it.
    op.execute("UPDATE profiles SET card_version = version")
    op.execute("UPDATE profiles SET bio_audience = 4 WHERE bio <> ''")
    op.execute("""
        CREATE TABLE goals (
            user_id uuid NOT NULL,
            goal_id uuid NOT NULL,
            request_hash bytea NOT NULL,
            title text NOT NULL,
            kind smallint NOT NULL,
            event_name text,
            sport smallint,
            distance_m double precision,
            duration_s double precision,
            period smallint,
            weight_kg double precision,
            target_date date,
            state smallint NOT NULL,
            achieved_at timestamptz,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            deleted_at timestamptz,
            PRIMARY KEY (user_id, goal_id)
        )
    """)
    op.execute("CREATE INDEX goals_deleted ON goals (deleted_at) WHERE deleted_at IS NOT NULL")
