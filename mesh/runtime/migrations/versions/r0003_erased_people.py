"""Who was erased, and how much of what; audit records are found by who acted."""

from __future__ import annotations

from alembic import op

revision = "r0003"
down_revision = "r0002"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE erased_people (
            user_id uuid PRIMARY KEY,
            erased_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE erased_things (
            user_id uuid NOT NULL,
            table_name text NOT NULL,
            count bigint NOT NULL,
            last_erased_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, table_name)
        )
    """)
    op.execute("CREATE INDEX audit_records_actor ON audit_records (actor, id)")
