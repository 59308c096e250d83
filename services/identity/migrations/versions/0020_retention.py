"""Sessions that ended are found by when they did, to be dropped."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    # Partial: a refresh of a session that lives touches no index.
    op.execute("CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL")
