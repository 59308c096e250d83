"""A copy of people's relations, how far it is, and how far the bus is."""

from __future__ import annotations

from alembic import op

revision = "r0004"
down_revision = "r0003"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE relations_replica (
            viewer_id uuid NOT NULL,
            owner_id uuid NOT NULL,
            follows boolean NOT NULL,
            close_friend boolean NOT NULL,
            blocked boolean NOT NULL,
            muted boolean NOT NULL,
            mute_until timestamptz,
            pair_version bigint NOT NULL,
            changed_at timestamptz NOT NULL,
            PRIMARY KEY (viewer_id, owner_id)
        )
    """)
    op.execute("""
        CREATE INDEX relations_replica_empty ON relations_replica (changed_at)
        WHERE NOT (follows OR close_friend OR blocked OR muted)
    """)
    op.execute("""
        CREATE TABLE relations_known (
            user_id uuid PRIMARY KEY,
            version bigint NOT NULL,
            behind_to bigint,
            copied_to bigint
        )
    """)
    op.execute(
        "CREATE INDEX relations_known_behind ON relations_known (user_id) "
        "WHERE behind_to IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX relations_known_copied ON relations_known (user_id) "
        "WHERE copied_to IS NOT NULL"
    )
    op.execute("""
        CREATE TABLE relations_feeds (
            feed smallint PRIMARY KEY,
            beat bigint NOT NULL,
            heard_at timestamptz NOT NULL,
            behind boolean NOT NULL,
            copying boolean NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE relations_copying (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            page_token text NOT NULL
        )
    """)
