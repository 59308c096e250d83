"""What people agreed to: as it is, and all that was, which nobody changes."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE consents (
            user_id uuid NOT NULL REFERENCES accounts,
            purpose smallint NOT NULL,
            given boolean NOT NULL,
            version integer NOT NULL,
            changed_at timestamptz NOT NULL,
            record_id uuid NOT NULL,
            revision bigint NOT NULL,
            PRIMARY KEY (user_id, purpose)
        )
    """)
    op.execute("""
        CREATE TABLE consent_records (
            user_id uuid NOT NULL REFERENCES accounts,
            record_id uuid NOT NULL,
            purpose smallint NOT NULL,
            request_hash bytea NOT NULL,
            revision bigint NOT NULL,
            given boolean NOT NULL,
            version integer NOT NULL,
            language text NOT NULL,
            sha256 bytea NOT NULL,
            at timestamptz NOT NULL,
            client_id text NOT NULL,
            session_id uuid,
            device text NOT NULL,
            network text NOT NULL,
            PRIMARY KEY (user_id, record_id, purpose)
        )
    """)
    # What was said stays said: who needs another row writes one.
    op.execute("""
        CREATE FUNCTION consent_records_stay() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'records of consents are never changed'; END $$
    """)
    op.execute("""
        CREATE TRIGGER consent_records_stay BEFORE UPDATE ON consent_records
        FOR EACH ROW EXECUTE FUNCTION consent_records_stay()
    """)
