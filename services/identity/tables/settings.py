"""How people want things to be, and around which places they are not shown."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from mesh.runtime.kept import CONTRACT, For, WithPerson, kept
from services.identity.tables.metadata import METADATA
from services.identity.zones.rules import REMEMBER_DELETED

SETTINGS = Table(
    "settings",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Counts the changes of this row: the etag.
    Column("version", BigInteger, nullable=False),
    # Counts the changes of settings and privacy zones, each of which is published.
    Column("told", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    # What was not chosen is empty or 0; numbers are the contract's.
    Column("language", Text, nullable=False),
    Column("unit_system", SmallInteger, nullable=False),
    Column("distance_unit", SmallInteger, nullable=False),
    Column("height_unit", SmallInteger, nullable=False),
    Column("weight_unit", SmallInteger, nullable=False),
    Column("temperature_unit", SmallInteger, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("first_day_of_week", SmallInteger, nullable=False),
    Column("theme", SmallInteger, nullable=False),
    # The kinds that were chosen for, by name, each with its channels by name.
    Column("notifications", JSONB, nullable=False),
    # Minutes after midnight; NULL where there are no quiet hours.
    Column("quiet_from", SmallInteger),
    Column("quiet_to", SmallInteger),
    Column("quiet_days", ARRAY(SmallInteger)),
    Column("default_activity_audience", SmallInteger, nullable=False),
    # Random, made by the database: what covers this person's privacy zones is moved by it.
    Column("zone_secret", Uuid, nullable=False),
    info=kept(WithPerson(CONTRACT)),
)

PRIVACY_ZONES = Table(
    "privacy_zones",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("zone_id", Uuid, primary_key=True),
    # Of what its creation asked for: tells a repeat from another request. Empty once the zone
    # is deleted, for a place could be guessed from it.
    Column("request_hash", LargeBinary, nullable=False),
    Column("display_name", Text, nullable=False),
    # NULL once the zone is deleted.
    Column("latitude_deg", Double),
    Column("longitude_deg", Double),
    Column("radius_m", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
    info=kept(
        WithPerson(CONTRACT),
        For(REMEMBER_DELETED, "deleted_at", "emptied: repeats find it", by="forget privacy zones"),
    ),
)
