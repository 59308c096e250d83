"""What others see lies in its row, uncompressed, as activities do: lists read many at once."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for column in ("message", "json"):
        op.execute(f"ALTER TABLE shown_activities ALTER COLUMN {column} SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE shown_activities SET (toast_tuple_target = 8160)")
