"""Devices, and how many each person has."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE devices (
            user_id uuid NOT NULL,
            device_id uuid NOT NULL,
            display_name text NOT NULL,
            kind smallint NOT NULL,
            manufacturer text NOT NULL,
            model text NOT NULL,
            serial_number text NOT NULL,
            request_hash bytea NOT NULL,
            created_at timestamptz NOT NULL,
            deleted_at timestamptz,
            CONSTRAINT devices_pkey PRIMARY KEY (user_id, device_id)
        )
    """)
    op.execute("""
        CREATE INDEX devices_deleted ON devices (deleted_at) WHERE deleted_at IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE device_counts (
            user_id uuid PRIMARY KEY,
            devices integer NOT NULL CHECK (devices >= 0)
        )
    """)
