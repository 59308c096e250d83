"""Accounts, profiles, sessions, signing keys."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE accounts (
            user_id uuid PRIMARY KEY,
            email text NOT NULL,
            email_key text NOT NULL CONSTRAINT accounts_email_key UNIQUE,
            password_hash text NOT NULL,
            created_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE profiles (
            user_id uuid PRIMARY KEY REFERENCES accounts,
            display_name text NOT NULL,
            bio text NOT NULL,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE sessions (
            user_id uuid NOT NULL REFERENCES accounts,
            session_id uuid NOT NULL,
            chain_key bytea NOT NULL,
            token_hash bytea NOT NULL,
            previous_hash bytea,
            rotated_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            ended_at timestamptz,
            ended_why text,
            PRIMARY KEY (user_id, session_id)
        )
    """)
    op.execute("""
        CREATE TABLE signing_keys (
            key_id text PRIMARY KEY,
            private_key bytea NOT NULL,
            public_key bytea NOT NULL,
            published_at timestamptz NOT NULL
        )
    """)
