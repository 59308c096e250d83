"""Signing keys are sealed, say when they sign, and can be withdrawn.

Rows of before are sealed by whichever process reads them first: the keys that seal are
beside the database, and migrations have none. Until the last process of the version
before has ended, it may still add a row of the old form; the defaults are for that.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE signing_keys
            ALTER COLUMN private_key DROP NOT NULL,
            ADD COLUMN sealed bytea,
            ADD COLUMN signs_at timestamptz NOT NULL DEFAULT now() + interval '1 hour',
            ADD COLUMN always_sealed boolean NOT NULL DEFAULT false,
            ADD COLUMN withdrawn_at timestamptz,
            ADD COLUMN withdrawn_by text NOT NULL DEFAULT '',
            ADD COLUMN withdrawn_why text NOT NULL DEFAULT ''
    """)
    op.execute("UPDATE signing_keys SET signs_at = published_at + interval '1 hour'")
