"""For whom activities are. Those from before there were audiences stay their owners' alone."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE activities ADD COLUMN audience smallint NOT NULL DEFAULT 0")
    # The message's last field, 17, is the number 4; and the same at the end of its JSON.
    op.execute("""
        UPDATE activities SET
            audience = 4,
            message = message || decode('880104', 'hex'),
            json = substring(json FROM 1 FOR octet_length(json) - 1)
                || convert_to(',"audience":"ACTIVITY_AUDIENCE_NOBODY"}', 'UTF8')
        WHERE state = 2
    """)
    op.execute("""
        CREATE INDEX activities_undecided ON activities (user_id, activity_id)
        WHERE audience = 0 AND state = 2 AND deleted_at IS NULL
    """)
