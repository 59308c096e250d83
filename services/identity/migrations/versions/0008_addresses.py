"""Addresses of their own, several to an account; codes that prove them; letters to them."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE addresses (
            user_id uuid NOT NULL REFERENCES accounts,
            address_id uuid NOT NULL,
            channel text NOT NULL CHECK (channel IN ('email', 'phone')),
            address text NOT NULL,
            address_key text NOT NULL,
            state text NOT NULL CHECK (state IN ('claimed', 'verified', 'pending', 'removed')),
            is_primary boolean NOT NULL,
            verified_at timestamptz,
            created_at timestamptz NOT NULL,
            removed_at timestamptz,
            PRIMARY KEY (user_id, address_id)
        )
    """)
    # Nobody has proved an address yet: each keeps the one he signed up with.
    op.execute("""
        INSERT INTO addresses (user_id, address_id, channel, address, address_key, state,
                               is_primary, created_at)
        SELECT user_id, uuidv7(), 'email', email, email_key, 'claimed', true, created_at
        FROM accounts
    """)
    op.execute("""
        CREATE UNIQUE INDEX addresses_key ON addresses (address_key)
        WHERE state IN ('claimed', 'verified')
    """)
    op.execute("CREATE UNIQUE INDEX addresses_primary ON addresses (user_id) WHERE is_primary")
    op.execute("""
        ALTER TABLE accounts
            DROP COLUMN email,
            DROP COLUMN email_key,
            ALTER COLUMN password_hash DROP NOT NULL,
            ADD COLUMN password_at timestamptz,
            ADD COLUMN language text,
            ADD COLUMN country text
    """)
    op.execute("UPDATE accounts SET password_at = created_at")
    op.execute("""
        CREATE TABLE codes (
            user_id uuid NOT NULL REFERENCES accounts,
            purpose text NOT NULL,
            address_id uuid NOT NULL,
            asked_at timestamptz NOT NULL,
            asks smallint NOT NULL,
            code_hash bytea,
            expires_at timestamptz,
            attempts_left smallint NOT NULL,
            used_at timestamptz,
            PRIMARY KEY (user_id, purpose, address_id),
            FOREIGN KEY (user_id, address_id) REFERENCES addresses ON DELETE CASCADE
        )
    """)
    op.execute("""
        CREATE TABLE letters (
            user_id uuid NOT NULL REFERENCES accounts,
            letter_id uuid NOT NULL,
            kind text NOT NULL,
            address_id uuid,
            details jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            attempts smallint NOT NULL,
            dead_at timestamptz,
            PRIMARY KEY (user_id, letter_id)
        )
    """)
    op.execute("CREATE INDEX letters_due ON letters (due_at) WHERE dead_at IS NULL")
    op.execute("""
        CREATE FUNCTION letters_notify() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify(TG_TABLE_SCHEMA || '_letters', '');
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER letters_notify AFTER INSERT ON letters
        FOR EACH STATEMENT EXECUTE FUNCTION letters_notify()
    """)
