"""A secret for each person: what covers his privacy zones is moved by it."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    # 122 random bits of the operating system's, another for each row.
    op.execute(
        "ALTER TABLE settings ADD COLUMN zone_secret uuid NOT NULL DEFAULT gen_random_uuid()"
    )
