"""Activities with the JSON of their REST answers; older rows are rendered as they are read."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE activities ADD COLUMN json bytea")
    # In the row, uncompressed, while the row fits into a page: lists read many at once.
    op.execute("ALTER TABLE activities ALTER COLUMN json SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE activities SET (toast_tuple_target = 8160)")
