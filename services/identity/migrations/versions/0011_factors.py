"""Second factors: authenticator apps, recovery codes, passkeys, tickets that were used."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE second_factors (
            user_id uuid PRIMARY KEY REFERENCES accounts,
            totp_id uuid,
            totp_secret bytea,
            totp_last_step bigint NOT NULL,
            totp_created_at timestamptz,
            recovery_hashes bytea[] NOT NULL,
            passkeys integer NOT NULL CHECK (passkeys >= 0),
            failures integer NOT NULL,
            throttled_until timestamptz NOT NULL,
            reset_at timestamptz,
            reset_by uuid,
            reset_why text,
            CHECK ((totp_id IS NULL) = (totp_secret IS NULL)),
            CHECK (cardinality(recovery_hashes) <= 10)
        )
    """)
    op.execute("CREATE INDEX second_factors_reset ON second_factors (reset_at) "
               "WHERE reset_at IS NOT NULL")  # fmt: skip
    op.execute("CREATE INDEX second_factors_reset_by ON second_factors (reset_by) "
               "WHERE reset_by IS NOT NULL")  # fmt: skip
    op.execute("""
        CREATE TABLE passkeys (
            user_id uuid NOT NULL REFERENCES accounts,
            passkey_id uuid NOT NULL,
            credential_id bytea NOT NULL CONSTRAINT passkeys_credential_id UNIQUE,
            public_key bytea NOT NULL,
            sign_count bigint NOT NULL,
            is_synced boolean NOT NULL,
            transports text[] NOT NULL,
            display_name text NOT NULL,
            created_at timestamptz NOT NULL,
            used_at timestamptz,
            PRIMARY KEY (user_id, passkey_id)
        )
    """)
    op.execute("""
        CREATE TABLE used_tickets (
            ticket_id uuid PRIMARY KEY,
            tries smallint NOT NULL,
            is_spent boolean NOT NULL,
            expires_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX used_tickets_expires_at ON used_tickets (expires_at)")
