"""The runtime's own tables, in each service's schema.

`mesh/runtime/migrations` makes them; the service's role owns them.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from mesh.runtime.kept import LAW, SECURITY, Always, For, WithPerson, kept

METADATA = MetaData()
OUTBOX_KEPT = timedelta(hours=24)
INBOX_KEPT = timedelta(days=30)
"""Far longer than any event is on its way; see docs/decisions/0036."""
AUDIT_KEPT = timedelta(days=400)
"""A year, and time to look back at it."""

OUTBOX = Table(
    "outbox",
    METADATA,
    # Partitioned by the hour of occurred_at; published rows stay a day and can be re-sent.
    Column("position", BigInteger, Identity(), primary_key=True),
    Column("occurred_at", DateTime(timezone=True), primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("key_version", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("published_at", DateTime(timezone=True)),
    info=kept(For(OUTBOX_KEPT, "occurred_at", "to be sent again", by="partitions")),
)

INBOX = Table(
    "inbox",
    METADATA,
    # The newest version of each key whose effect this handler has committed.
    Column("handler", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("key_version", BigInteger, nullable=False),
    Column("handled_at", DateTime(timezone=True), nullable=False),
    info=kept(
        WithPerson("so that no event has its effect twice"),
        For(
            INBOX_KEPT,
            "handled_at",
            "no event is that old (0036)",
            where="NOT EXISTS (SELECT 1 FROM dead_letters AS d"
            " WHERE d.handler = inbox.handler AND d.key = inbox.key)",
        ),
    ),
)

REPEATS = Table(
    "repeats",
    METADATA,
    # Partitioned by day; kept at least 24 hours. Hashes and a reference, never an answer.
    Column("key", LargeBinary, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("reference", Text, nullable=False),
    info=kept(For(timedelta(hours=48), "day", "hashes: a repeat is told", by="partitions")),
)

DEAD_LETTERS = Table(
    "dead_letters",
    METADATA,
    Column("handler", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("key_version", BigInteger, primary_key=True),
    Column("type", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Whether the key waits for somebody to look: its later messages come here too.
    Column("parked", Boolean, nullable=False),
    Column("failed_at", DateTime(timezone=True), nullable=False),
    info=kept(
        WithPerson("so that somebody looks why they failed"),
        For(timedelta(days=90), "failed_at", "nobody looked", where="NOT parked"),
    ),
)

AUDIT = Table(
    "audit_records",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("method", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    info=kept(For(AUDIT_KEPT, "at", f"{SECURITY}; {LAW}")),
)

# Who was erased here. Nothing else is left of them, and nothing is written of them by
# events; the id names nobody any more.
ERASED_PEOPLE = Table(
    "erased_people",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    info=kept(Always(f"{LAW}; who was erased stays so")),
)

# How much of what was erased, for the certificate.
ERASED_THINGS = Table(
    "erased_things",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_erased_at", DateTime(timezone=True), nullable=False),
    info=kept(Always(f"{LAW}; for the certificate")),
)

# The copy of relations (`mesh.runtime.relations`); empty where a service does not use it.
RELATIONS_REPLICA = Table(
    "relations_replica",
    METADATA,
    Column("viewer_id", Uuid, primary_key=True),
    Column("owner_id", Uuid, primary_key=True),
    # The viewer follows the owner.
    Column("follows", Boolean, nullable=False),
    # The owner counts the viewer among his close friends.
    Column("close_friend", Boolean, nullable=False),
    # Either blocks the other.
    Column("blocked", Boolean, nullable=False),
    # The viewer does not want to see the owner's things, until then or for good.
    Column("muted", Boolean, nullable=False),
    Column("mute_until", DateTime(timezone=True)),
    # Of identity: an older state never replaces a newer one, whichever way it comes.
    Column("pair_version", BigInteger, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    info=kept(WithPerson("a copy, for filtering")),
)

RELATIONS_KNOWN = Table(
    "relations_known",
    METADATA,
    Column("user_id", Uuid, primary_key=True),
    # Every change of this person's relations up to here is in the copy …
    Column("version", BigInteger, nullable=False),
    # … but for some before this one: until they are fetched he is shown nothing.
    Column("behind_to", BigInteger),
    # What was fetched is as of here.
    Column("copied_to", BigInteger),
    info=kept(WithPerson("a copy, for filtering")),
)

RELATIONS_FEEDS = Table(
    "relations_feeds",
    METADATA,
    # A partition of the bus, and the newest beat that came through it.
    Column("feed", SmallInteger, primary_key=True),
    Column("beat", BigInteger, nullable=False),
    # When identity sent it: what was told before is here.
    Column("heard_at", DateTime(timezone=True), nullable=False),
    # Something was lost on the way, or never came: whoever's events come here is shown nothing.
    Column("behind", Boolean, nullable=False),
    # Nothing was lost since the copying that is under way began.
    Column("copying", Boolean, nullable=False),
    info=kept(Always("a row for each partition of the bus")),
)

RELATIONS_COPYING = Table(
    "relations_copying",
    METADATA,
    # One row while everything is fetched: where to go on.
    Column("one", Boolean, primary_key=True),
    Column("page_token", Text, nullable=False),
    info=kept(Always("one row")),
)
