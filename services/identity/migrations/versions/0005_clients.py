"""Apps of others, service accounts, and what people let apps do."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE clients (
            user_id uuid NOT NULL,
            client_id uuid NOT NULL CONSTRAINT clients_client_id UNIQUE,
            display_name text NOT NULL,
            about text NOT NULL,
            redirect_uris text[] NOT NULL,
            scopes text[] NOT NULL,
            authentication smallint NOT NULL,
            jwks text NOT NULL,
            secret_hash bytea,
            secret_at timestamptz,
            old_secret_hash bytea,
            old_secret_at timestamptz,
            old_secret_until timestamptz,
            request_hash bytea NOT NULL,
            version bigint NOT NULL,
            created_at timestamptz NOT NULL,
            ended_at timestamptz,
            PRIMARY KEY (user_id, client_id)
        )
    """)
    op.execute("CREATE INDEX clients_ended ON clients (ended_at) WHERE ended_at IS NOT NULL")
    op.execute("""
        CREATE TABLE client_assertions (
            client_id uuid NOT NULL,
            jti_hash bytea NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (client_id, jti_hash)
        )
    """)
    op.execute("CREATE INDEX client_assertions_old ON client_assertions (expires_at)")
    op.execute("""
        CREATE TABLE grants (
            user_id uuid NOT NULL,
            client_id uuid NOT NULL,
            scopes text[] NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, client_id)
        )
    """)
    op.execute("CREATE INDEX grants_of_client ON grants (client_id)")
    op.execute("""
        CREATE TABLE authorization_codes (
            user_id uuid NOT NULL,
            code_id uuid NOT NULL,
            secret_hash bytea NOT NULL,
            client_id uuid NOT NULL,
            redirect_uri text NOT NULL,
            scopes text[] NOT NULL,
            challenge text NOT NULL,
            amr text[] NOT NULL,
            proved_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            used_at timestamptz,
            replayed_at timestamptz,
            session_id uuid,
            PRIMARY KEY (user_id, code_id)
        )
    """)
    op.execute("CREATE INDEX authorization_codes_old ON authorization_codes (created_at)")
    op.execute("""
        CREATE TABLE browsers (
            user_id uuid NOT NULL,
            session_id uuid NOT NULL,
            secret_hash bytea NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, session_id)
        )
    """)
    op.execute("CREATE INDEX browsers_old ON browsers (expires_at)")
    op.execute("""
        CREATE INDEX sessions_of_client ON sessions (client_id)
            WHERE ended_at IS NULL AND client_id <> 'palestra-app'
    """)
