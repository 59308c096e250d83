"""Keys of people, exports, erasures."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE person_keys (
            user_id uuid PRIMARY KEY REFERENCES accounts,
            key_id uuid NOT NULL,
            sealed bytea NOT NULL,
            created_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE exports (
            user_id uuid NOT NULL REFERENCES accounts,
            export_id uuid NOT NULL,
            state smallint NOT NULL,
            language text NOT NULL,
            created_at timestamptz NOT NULL,
            finished_at timestamptz,
            expires_at timestamptz,
            size_bytes bigint NOT NULL,
            file text NOT NULL,
            revision bigint NOT NULL,
            PRIMARY KEY (user_id, export_id)
        )
    """)
    # One at a time; the job looks at these, and at what is to be deleted.
    op.execute("CREATE UNIQUE INDEX exports_under_way ON exports (user_id) WHERE state IN (1, 2)")
    op.execute("CREATE INDEX exports_ready ON exports (expires_at) WHERE state = 3")
    op.execute("CREATE INDEX exports_old ON exports (created_at)")
    op.execute("""
        CREATE TABLE export_steps (
            user_id uuid NOT NULL,
            export_id uuid NOT NULL,
            service text NOT NULL,
            done boolean NOT NULL,
            cursor text NOT NULL,
            parts integer NOT NULL,
            size_bytes bigint NOT NULL,
            fence bigint NOT NULL,
            attempts integer NOT NULL,
            next_at timestamptz NOT NULL,
            PRIMARY KEY (user_id, export_id, service),
            FOREIGN KEY (user_id, export_id) REFERENCES exports
        )
    """)
    op.execute("""
        CREATE TABLE export_parts (
            user_id uuid NOT NULL,
            export_id uuid NOT NULL,
            service text NOT NULL,
            number integer NOT NULL,
            file text NOT NULL,
            PRIMARY KEY (user_id, export_id, service, number),
            FOREIGN KEY (user_id, export_id, service) REFERENCES export_steps
        )
    """)
    op.execute("""
        CREATE TABLE erasures (
            user_id uuid NOT NULL,
            erasure_id uuid NOT NULL CONSTRAINT erasures_erasure_id UNIQUE,
            state smallint NOT NULL,
            requested_at timestamptz NOT NULL,
            due_at timestamptz NOT NULL,
            begun_at timestamptz,
            erased_at timestamptz,
            finished_at timestamptz,
            secret_hash bytea NOT NULL,
            secret_sealed bytea,
            key_id uuid,
            certificate text NOT NULL,
            revision bigint NOT NULL,
            PRIMARY KEY (user_id, erasure_id)
        )
    """)
    op.execute("CREATE UNIQUE INDEX erasures_one ON erasures (user_id) WHERE state <> 2")
    op.execute("CREATE INDEX erasures_due ON erasures (due_at) WHERE state IN (1, 3, 4)")
    op.execute("""
        CREATE TABLE erasure_steps (
            user_id uuid NOT NULL,
            erasure_id uuid NOT NULL,
            look smallint NOT NULL,
            service text NOT NULL,
            erased text,
            attempts integer NOT NULL,
            next_at timestamptz NOT NULL,
            done_at timestamptz,
            PRIMARY KEY (user_id, erasure_id, look, service),
            FOREIGN KEY (user_id, erasure_id) REFERENCES erasures
        )
    """)
    op.execute("""
        CREATE TABLE certificate_keys (
            key_id text PRIMARY KEY,
            sealed bytea NOT NULL,
            created_at timestamptz NOT NULL
        )
    """)
    # Tombstones outside of the database are called by this.
    op.execute("""
        CREATE INDEX erased_people_hash ON erased_people
            (encode(sha256(uuid_send(user_id)), 'hex'))
    """)
