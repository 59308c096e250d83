"""Repeats: what a second call of a STORED method finds."""

from __future__ import annotations

from alembic import op

revision = "r0002"
down_revision = "r0001"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE repeats (
            key bytea NOT NULL,
            day date NOT NULL,
            body bytea NOT NULL,
            reference text NOT NULL,
            PRIMARY KEY (key, day)
        ) PARTITION BY RANGE (day)
    """)
