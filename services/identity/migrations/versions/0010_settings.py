"""How people want things to be, and around which places they are not shown."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE settings (
            user_id uuid PRIMARY KEY,
            version bigint NOT NULL,
            told bigint NOT NULL,
            updated_at timestamptz NOT NULL,
            language text NOT NULL DEFAULT '',
            unit_system smallint NOT NULL DEFAULT 0,
            distance_unit smallint NOT NULL DEFAULT 0,
            height_unit smallint NOT NULL DEFAULT 0,
            weight_unit smallint NOT NULL DEFAULT 0,
            temperature_unit smallint NOT NULL DEFAULT 0,
            time_zone text NOT NULL DEFAULT '',
            first_day_of_week smallint NOT NULL DEFAULT 0,
            theme smallint NOT NULL DEFAULT 0,
            notifications jsonb NOT NULL DEFAULT '{}',
            quiet_from smallint,
            quiet_to smallint,
            quiet_days smallint[],
            default_activity_audience smallint NOT NULL DEFAULT 0
        )
    """)
    op.execute("""
        CREATE TABLE privacy_zones (
            user_id uuid NOT NULL,
            zone_id uuid NOT NULL,
            request_hash bytea NOT NULL,
            display_name text NOT NULL,
            latitude_deg double precision,
            longitude_deg double precision,
            radius_m integer NOT NULL,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            deleted_at timestamptz,
            PRIMARY KEY (user_id, zone_id)
        )
    """)
    op.execute(
        "CREATE INDEX privacy_zones_deleted ON privacy_zones (deleted_at)"
        " WHERE deleted_at IS NOT NULL"
    )
