"""What is no longer believed, and how people stand."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE revocations (
            user_id uuid NOT NULL,
            subject text NOT NULL,
            generation bigint NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, subject)
        )
    """)
    op.execute("CREATE INDEX revocations_created ON revocations (created_at)")
    op.execute("CREATE INDEX revocations_expire ON revocations (expires_at)")
    # Every process of identity sleeps on this.
    op.execute("""
        CREATE FUNCTION revocations_notify() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('revocations_' || TG_TABLE_SCHEMA, '');
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER revocations_notify AFTER INSERT OR UPDATE ON revocations
        FOR EACH STATEMENT EXECUTE FUNCTION revocations_notify()
    """)
    op.execute("""
        CREATE TABLE standings (
            user_id uuid PRIMARY KEY,
            generation bigint NOT NULL,
            blocked_at timestamptz,
            blocked_until timestamptz,
            blocked_by text NOT NULL DEFAULT '',
            blocked_why text NOT NULL DEFAULT ''
        )
    """)
    # What is kept of a person's ended sessions is bounded; those of people who never come
    # back are found by this.
    op.execute("CREATE INDEX sessions_created ON sessions (created_at)")
