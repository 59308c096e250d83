"""Logouts in the shop reach sign-ins that wait for their second factor."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE sso_logouts
            ADD COLUMN subject_hash bytea NOT NULL DEFAULT '',
            ADD COLUMN sid_hash bytea NOT NULL DEFAULT ''
    """)
    op.execute("CREATE INDEX sso_logouts_came ON sso_logouts (came_at)")
