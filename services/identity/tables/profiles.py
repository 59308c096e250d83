"""What people tell about themselves."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime.kept import CONTRACT, WithPerson, kept
from services.identity.tables.metadata import METADATA

PROFILES = Table(
    "profiles",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("bio", Text, nullable=False),
    Column("avatar", Text, nullable=False),
    Column("avatar_upload", Uuid),
    Column("avatar_stale", Boolean, nullable=False),
    # Counts the changes: the etag.
    Column("version", BigInteger, nullable=False),
    # Counts the changes of the public card, each of which is published: the event's version.
    Column("card_version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    # Numbered as in the contract, what he does most first; a level for each.
    Column("sports", ARRAY(SmallInteger), nullable=False),
    Column("sport_levels", ARRAY(SmallInteger), nullable=False),
    Column("birth_date", Date),
    Column("sex", SmallInteger, nullable=False),
    Column("height_cm", Double),
    Column("interests", ARRAY(Text), nullable=False),
    Column("city", Text, nullable=False),
    # For whom each is; numbered as in the contract.
    Column("bio_audience", SmallInteger, nullable=False),
    Column("sports_audience", SmallInteger, nullable=False),
    Column("interests_audience", SmallInteger, nullable=False),
    Column("city_audience", SmallInteger, nullable=False),
    Column("goals_audience", SmallInteger, nullable=False),
    Column("birth_date_audience", SmallInteger, nullable=False),
    Column("sex_audience", SmallInteger, nullable=False),
    Column("height_audience", SmallInteger, nullable=False),
    info=kept(WithPerson(CONTRACT)),
)
