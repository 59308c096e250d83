"""Deleted activities are found by when they were deleted, to be dropped."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX activities_deleted ON activities (deleted_at) WHERE deleted_at IS NOT NULL"
    )
