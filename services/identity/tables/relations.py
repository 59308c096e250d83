"""Who made what of whom. Each pair is there twice, once as each of the two has it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, Table, Text, Uuid

from mesh.runtime.kept import CONTRACT, Always, For, WithPerson, kept
from services.identity.relations.rules import KEPT_EMPTY
from services.identity.tables.metadata import METADATA

RELATION_PEOPLE = Table(
    "relation_people",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Counts the changes of his pairs, each of which is published: the event version.
    Column("version", BigInteger, nullable=False),
    # Whether he wants to be asked by who would follow him.
    Column("approval", Boolean, nullable=False),
    Column("following", Integer, nullable=False),
    Column("followers", Integer, nullable=False),
    Column("requested", Integer, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("blocks", Integer, nullable=False),
    Column("mutes", Integer, nullable=False),
    Column("close_friends", Integer, nullable=False),
    # He is gone, and nothing is made of him any more.
    Column("erased", Boolean, nullable=False),
    info=kept(WithPerson(CONTRACT)),
)

RELATION_PAIRS = Table(
    "relation_pairs",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("other_id", Uuid, primary_key=True),
    # What `user_id` made of `other_id`.
    Column("followed_at", DateTime(timezone=True)),
    Column("requested_at", DateTime(timezone=True)),
    Column("blocked_at", DateTime(timezone=True)),
    Column("muted_at", DateTime(timezone=True)),
    Column("mute_until", DateTime(timezone=True)),
    Column("close_at", DateTime(timezone=True)),
    # What `other_id` made of `user_id`.
    Column("their_followed_at", DateTime(timezone=True)),
    Column("their_requested_at", DateTime(timezone=True)),
    Column("their_blocked_at", DateTime(timezone=True)),
    Column("their_muted_at", DateTime(timezone=True)),
    Column("their_mute_until", DateTime(timezone=True)),
    Column("their_close_at", DateTime(timezone=True)),
    # The version of the one of both whose id is smaller: grows with each change of the pair.
    Column("pair_version", BigInteger, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    # Nothing is between them: kept a while, so that who missed the change hears of it.
    Column("empty", Boolean, nullable=False),
    info=kept(
        WithPerson(CONTRACT),
        For(KEPT_EMPTY, "changed_at", "where nothing is in it any more", by="forget relations"),
    ),
)

RELATION_BEATS = Table(
    "relation_beats",
    METADATA,
    # Of each partition of the bus one, and how many beats went through it.
    Column("key", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    info=kept(Always("a row for each partition of the bus")),
)
