"""Pictures of people: which one, of which upload, and whether files of another may be left."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE profiles
            ADD COLUMN avatar text NOT NULL DEFAULT '',
            ADD COLUMN avatar_upload uuid,
            ADD COLUMN avatar_stale boolean NOT NULL DEFAULT false
    """)
    op.execute("CREATE INDEX profiles_stale_avatars ON profiles (updated_at) WHERE avatar_stale")
