"""Relations: people's counts and versions, pairs, the beats that say how far the bus is."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_LISTS = (
    "followed_at",
    "their_followed_at",
    "their_requested_at",
    "blocked_at",
    "muted_at",
    "close_at",
)


def upgrade() -> None:
    op.execute("""
        CREATE TABLE relation_people (
            user_id uuid PRIMARY KEY,
            version bigint NOT NULL DEFAULT 0,
            approval boolean NOT NULL DEFAULT true,
            following integer NOT NULL DEFAULT 0,
            followers integer NOT NULL DEFAULT 0,
            requested integer NOT NULL DEFAULT 0,
            requests integer NOT NULL DEFAULT 0,
            blocks integer NOT NULL DEFAULT 0,
            mutes integer NOT NULL DEFAULT 0,
            close_friends integer NOT NULL DEFAULT 0,
            erased boolean NOT NULL DEFAULT false
        )
    """)
    op.execute("""
        CREATE TABLE relation_pairs (
            user_id uuid NOT NULL,
            other_id uuid NOT NULL,
            followed_at timestamptz,
            requested_at timestamptz,
            blocked_at timestamptz,
            muted_at timestamptz,
            mute_until timestamptz,
            close_at timestamptz,
            their_followed_at timestamptz,
            their_requested_at timestamptz,
            their_blocked_at timestamptz,
            their_muted_at timestamptz,
            their_mute_until timestamptz,
            their_close_at timestamptz,
            pair_version bigint NOT NULL,
            changed_at timestamptz NOT NULL,
            empty boolean NOT NULL,
            PRIMARY KEY (user_id, other_id),
            CHECK (user_id <> other_id),
            -- Deny wins, whatever the code above does.
            CONSTRAINT relation_pairs_blocked CHECK (
                coalesce(blocked_at, their_blocked_at) IS NULL
                OR coalesce(followed_at, requested_at, close_at, their_followed_at,
                            their_requested_at, their_close_at) IS NULL
            )
        )
    """)
    for column in _LISTS:
        op.execute(f"""
            CREATE INDEX relation_pairs_{column} ON relation_pairs (user_id, {column}, other_id)
            WHERE {column} IS NOT NULL
        """)
    op.execute("CREATE INDEX relation_pairs_empty ON relation_pairs (changed_at) WHERE empty")
    op.execute("""
        CREATE TABLE relation_beats (
            key text PRIMARY KEY,
            version bigint NOT NULL
        )
    """)
