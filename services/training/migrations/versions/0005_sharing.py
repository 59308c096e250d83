"""What others see of activities, and how often it was told that their owners' settings changed."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE shown_activities (
            user_id uuid NOT NULL,
            activity_id uuid NOT NULL,
            version bigint NOT NULL,
            circles bytea NOT NULL,
            message bytea NOT NULL,
            json bytea NOT NULL,
            PRIMARY KEY (user_id, activity_id)
        )
    """)
    op.execute("""
        CREATE TABLE told_settings (
            user_id uuid PRIMARY KEY,
            version bigint NOT NULL
        )
    """)
    # The audience is compared within the index: what a viewer may not see costs no row.
    op.execute("""
        CREATE INDEX activities_of_others
        ON activities (user_id, started_at DESC, activity_id DESC, audience)
        WHERE deleted_at IS NULL AND state = 2 AND audience IN (1, 2, 3)
    """)
