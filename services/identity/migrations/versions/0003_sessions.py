"""How a session was proved, for whom it speaks, and where it lives."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Whoever is signed in did it by password, in an app of ours.
    op.execute("""
        ALTER TABLE sessions
            ADD COLUMN amr text[] NOT NULL DEFAULT '{pwd}',
            ADD COLUMN proved_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN client_id text NOT NULL DEFAULT 'palestra-app',
            ADD COLUMN scopes text[],
            ADD COLUMN device text NOT NULL DEFAULT '',
            ADD COLUMN network text NOT NULL DEFAULT ''
    """)
    op.execute("UPDATE sessions SET proved_at = created_at")
