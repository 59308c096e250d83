"""Roles that people were granted, and blocks."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE role_grants (
            user_id uuid NOT NULL REFERENCES accounts,
            grant_id uuid NOT NULL,
            request_hash bytea NOT NULL,
            role text NOT NULL,
            reason text NOT NULL,
            granted_by uuid,
            granted_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            ended_how smallint NOT NULL DEFAULT 0,
            ended_by uuid,
            ended_why text NOT NULL DEFAULT '',
            PRIMARY KEY (user_id, grant_id)
        )
    """)
    # One lives, whatever comes at once; each minting of a token asks for these.
    op.execute(
        "CREATE UNIQUE INDEX role_grants_living ON role_grants (user_id, role) "
        "WHERE ended_at IS NULL"
    )
    op.execute("CREATE INDEX role_grants_due ON role_grants (expires_at) WHERE ended_at IS NULL")
    op.execute("CREATE INDEX role_grants_newest ON role_grants (granted_at, grant_id)")
    op.execute("""
        CREATE TABLE blocks (
            user_id uuid NOT NULL REFERENCES accounts,
            block_id uuid NOT NULL,
            reason text NOT NULL,
            blocked_by uuid,
            blocked_at timestamptz NOT NULL,
            expires_at timestamptz,
            lifted_at timestamptz,
            lifted_by uuid,
            lifted_why text NOT NULL DEFAULT '',
            PRIMARY KEY (user_id, block_id)
        )
    """)
    op.execute("CREATE UNIQUE INDEX blocks_living ON blocks (user_id) WHERE lifted_at IS NULL")
    # Who and why are in `blocks`; nothing ever wrote them here.
    op.execute("ALTER TABLE standings DROP COLUMN blocked_by")
    op.execute("ALTER TABLE standings DROP COLUMN blocked_why")
    op.execute(
        "CREATE INDEX standings_blocked ON standings (blocked_at) WHERE blocked_at IS NOT NULL"
    )
    # Whom an erased person granted, revoked, blocked is found by these.
    op.execute("CREATE INDEX role_grants_by ON role_grants (granted_by)")
    op.execute("CREATE INDEX role_grants_ended_by ON role_grants (ended_by)")
    op.execute("CREATE INDEX blocks_by ON blocks (blocked_by)")
    op.execute("CREATE INDEX blocks_lifted_by ON blocks (lifted_by)")
