"""The tables of integration. `migrations` makes them; the stores of the capabilities use them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept
from services.integration.devices.rules import REMEMBER_DELETED

METADATA = MetaData()

DEVICES = Table(
    "devices",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Derives from the registration's request id: the row is the record of the request.
    Column("device_id", Uuid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("manufacturer", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("serial_number", Text, nullable=False),
    # Of what was asked for: the same id with another body is refused.
    Column("request_hash", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # Its texts are emptied then; id, hash and times stay a while for repeats.
    Column("deleted_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(CONTRACT),
        For(
            REMEMBER_DELETED, "deleted_at", "emptied: repeats find it", by="forget deleted devices"
        ),
    ),
)

DEVICE_COUNTS = Table(
    "device_counts",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Of the devices that are not deleted. Its row lock makes the bound exact.
    Column("devices", Integer, nullable=False),
    info=kept(WithPerson(CONTRACT)),
)
