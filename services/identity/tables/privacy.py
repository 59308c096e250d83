"""Keys of people, exports, erasures."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from mesh.runtime.kept import LAW, SECURITY, Always, For, WithPerson, kept
from services.identity.exports.rules import REMEMBERED
from services.identity.tables.metadata import METADATA

PERSON_KEYS = Table(
    "person_keys",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("key_id", Uuid, nullable=False),
    # AES-256, sealed for this place by identity's own keys.
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson(SECURITY)),
)

EXPORTS = Table(
    "exports",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Derives from the request's id: the row is the record of the request.
    Column("export_id", Uuid, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("language", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("size_bytes", BigInteger, nullable=False),
    # The archive's name in the store of blobs.
    Column("file", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    info=kept(
        WithPerson(LAW),
        For(REMEMBERED, "created_at", "that he got a copy", by="make exports"),
    ),
)

# How far each service is. Who works on one raises its fence; who had it before stops.
EXPORT_STEPS = Table(
    "export_steps",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("export_id", Uuid, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("done", Boolean, nullable=False),
    # Where it goes on, after the first `parts` parts.
    Column("cursor", Text, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson(LAW)),
)

EXPORT_PARTS = Table(
    "export_parts",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("export_id", Uuid, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    # Its name in the store of blobs; sealed by the person's key.
    Column("file", Text, nullable=False),
    info=kept(WithPerson(LAW)),
)

# What proves an erasure: of whom it was, nothing but an id is left.
ERASURES = Table(
    "erasures",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("erasure_id", Uuid, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("begun_at", DateTime(timezone=True)),
    Column("erased_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    # The certificate's: its hash, and itself sealed while it may be told again.
    Column("secret_hash", LargeBinary, nullable=False),
    Column("secret_sealed", LargeBinary),
    # The person's key that was destroyed; NULL where he never had one.
    Column("key_id", Uuid),
    Column("certificate", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    info=kept(Always(f"{LAW}; a restored backup must not bring him back")),
)

# What each service said, in the first looking and in the last.
ERASURE_STEPS = Table(
    "erasure_steps",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("erasure_id", Uuid, primary_key=True),
    Column("look", SmallInteger, primary_key=True),
    Column("service", Text, primary_key=True),
    # JSON: how many rows of which table; NULL until it said that nothing is left.
    Column("erased", Text),
    Column("attempts", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    info=kept(Always(f"{LAW}; what each service said")),
)

# The one key that signs certificates; it does not turn, so that they stay verifiable.
CERTIFICATE_KEYS = Table(
    "certificate_keys",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info=kept(Always("one key: what it signed stays verifiable")),
)
