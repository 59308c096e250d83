"""Numbers of people for each sector of apps; nonces; grants outlive their apps for a while."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("ALTER TABLE clients ADD COLUMN sector uuid")
    op.execute("""
        UPDATE clients SET sector = made.sector
        FROM (SELECT user_id, gen_random_uuid() AS sector FROM clients GROUP BY user_id) AS made
        WHERE made.user_id = clients.user_id
    """)
    op.execute("ALTER TABLE clients ALTER COLUMN sector SET NOT NULL")
    op.execute("ALTER TABLE authorization_codes ADD COLUMN nonce text NOT NULL DEFAULT ''")
    op.execute("""
        ALTER TABLE grants
            ADD COLUMN ended_at timestamptz,
            ADD COLUMN app_name text NOT NULL DEFAULT ''
    """)
    op.execute("CREATE INDEX grants_ended ON grants (ended_at) WHERE ended_at IS NOT NULL")
