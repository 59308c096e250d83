"""When a key was last heard of, so that it can be forgotten."""

from __future__ import annotations

from alembic import op

revision = "r0005"
down_revision = "r0004"


def upgrade() -> None:
    # No index: each event changes it, and once an hour the rows can be looked through.
    op.execute("ALTER TABLE inbox ADD COLUMN handled_at timestamptz NOT NULL DEFAULT now()")
    op.execute("CREATE INDEX dead_letters_failed_at ON dead_letters (failed_at) WHERE NOT parked")
