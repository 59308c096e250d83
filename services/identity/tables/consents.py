"""What people agreed to: as it is, and all that was."""

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

from mesh.runtime.kept import LAW, WithPerson, kept
from services.identity.tables.metadata import METADATA

CONSENTS = Table(
    "consents",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # The contract's number.
    Column("purpose", SmallInteger, primary_key=True),
    Column("given", Boolean, nullable=False),
    # Of the text that was last agreed to.
    Column("version", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    # The newest of the history.
    Column("record_id", Uuid, nullable=False),
    # Counts the changes: the etag, and the event's version.
    Column("revision", BigInteger, nullable=False),
    info=kept(WithPerson(LAW)),
)

# Never changed: the database refuses it. Erased with the person.
CONSENT_RECORDS = Table(
    "consent_records",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Derives from the request's id: the row is the record of the request.
    Column("record_id", Uuid, primary_key=True),
    Column("purpose", SmallInteger, primary_key=True),
    # Of what was asked for: the same id with another body is refused.
    Column("request_hash", LargeBinary, nullable=False),
    # Of the consent after it.
    Column("revision", BigInteger, nullable=False),
    Column("given", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("language", Text, nullable=False),
    # SHA-256 of the very text.
    Column("sha256", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("client_id", Text, nullable=False),
    # NULL where it was part of signing up.
    Column("session_id", Uuid),
    # Of the device only a name, of its address only the network.
    Column("device", Text, nullable=False),
    Column("network", Text, nullable=False),
    info=kept(WithPerson(LAW)),
)
