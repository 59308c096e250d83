"""Services' tables as their first revision made them, with rows as the code of then wrote them.

Owns the way back: the first migration of each folder alone. What is written here is what the
first release wrote, by SQL and by hand, so that no later change of the code changes it too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.runtime import migrate
from mesh.runtime.ids import user_id, uuid7
from palestra.training.v1 import activity_pb2, sport_pb2

Connection = psycopg.Connection[tuple[object, ...]]
# As they were: OWASP's argon2id parameters.
_HASHER = PasswordHasher(2, 19 * 1024, 1)
_LIFETIME = timedelta(days=180)


def migrations(service: str) -> Path:
    """The folder of a service's revisions."""
    return Path(f"services/{service}/migrations").resolve()


def back_to_first(url: str, service: str, folder: Path) -> None:
    """Makes the tables of the first release in an empty schema: the runtime's and the service's."""
    own = _first_of(migrations(service), folder / service)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "RUNTIME", _first_of(migrate.RUNTIME, folder / "runtime"))
        migrate.migrate(url, own)


def _first_of(whole: Path, copy: Path) -> Path:
    (copy / "versions").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        if (whole / name).exists():
            shutil.copy(whole / name, copy / name)
    shutil.copy(min((whole / "versions").glob("*_*.py")), copy / "versions")
    return copy


@dataclass(frozen=True, slots=True)
class Registered:
    """Somebody of the first release, and what his app kept."""

    user_id: uuid.UUID
    email: str
    password: str
    display_name: str
    bio: str
    refresh_token: str
    used_token: str
    """The refresh token before it."""
    ended_token: str
    """Of a session that he signed out of."""


def people(connection: Connection, now: datetime) -> list[Registered]:
    """Accounts, profiles, sessions and keys, as identity wrote them."""
    told = (
        ("Vera@example.com", "a long enough secret", "Vera", ""),
        # An address and passwords that can be written in more ways than one.
        ("Жанна@пример.рф", "пароль с буквой Й", "Жанна", "Бегает до завтрака."),
        ("anna+runs@example.org", "кра\u0438\u0306ний северный ветер", "Анна\u0301", "Runs."),
    )
    _signing_key(connection, now)
    return [_person(connection, now - timedelta(days=day), *each) for day, each in enumerate(told)]


def _signing_key(connection: Connection, now: datetime) -> None:
    private = Ed25519PrivateKey.generate()
    connection.execute(
        "INSERT INTO signing_keys VALUES (%s, %s, %s, %s)",
        (
            "first",
            private.private_bytes_raw(),
            private.public_key().public_bytes_raw(),
            now - timedelta(hours=2),
        ),
    )


def _person(
    connection: Connection, at: datetime, email: str, password: str, display_name: str, bio: str
) -> Registered:
    user = user_id(0, round(at.timestamp() * 1000))
    connection.execute(
        "INSERT INTO accounts VALUES (%s, %s, %s, %s, %s)",
        (user, email, email.casefold(), _HASHER.hash(password), at),
    )
    connection.execute(
        "INSERT INTO profiles VALUES (%s, %s, %s, %s, %s, %s)",
        (user, display_name, bio, 2 if bio else 1, at, at),
    )
    used, newest = _session(connection, user, at, ended=False)
    _, ended = _session(connection, user, at, ended=True)
    return Registered(user, email, password, display_name, bio, newest, used, ended)


def _session(
    connection: Connection, user: uuid.UUID, at: datetime, *, ended: bool
) -> tuple[str, str]:
    """A session that was refreshed once; the first and the second token."""
    session, chain_key, first = uuid7(), os.urandom(32), os.urandom(32)
    second = hmac.digest(chain_key, b"next" + first, "sha256")
    connection.execute(
        "INSERT INTO sessions VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(user, session, chain_key),
            *(hashlib.sha256(second).digest(), hashlib.sha256(first).digest()),
            *(at, at, at + _LIFETIME),
            *((at, "signed out") if ended else (None, None)),
        ),
    )
    return tuple(_token(user, session, chain_key, each) for each in (first, second))  # type: ignore[return-value]


def _token(user: uuid.UUID, session: uuid.UUID, chain_key: bytes, secret: bytes) -> str:
    tag = hmac.digest(chain_key, b"tag" + secret, "sha256")[:16]
    return base64.urlsafe_b64encode(user.bytes + session.bytes + secret + tag).rstrip(b"=").decode()


def device(connection: Connection, user: uuid.UUID) -> uuid.UUID:
    """A watch, as integration wrote it."""
    made = uuid7()
    connection.execute(
        "INSERT INTO devices VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, NULL)",
        (user, made, "Watch", 1, "Garmin", "Forerunner", "343", b"hash", datetime.now(UTC)),
    )
    connection.execute("INSERT INTO device_counts VALUES (%s, 1)", (user,))
    return made


def activity(connection: Connection, user: uuid.UUID, at: datetime) -> activity_pb2.Activity:
    """A finished run of half an hour and its day, as training wrote them."""
    made, etag = uuid7(), 2
    told = activity_pb2.Activity(
        name=f"users/{user}/activities/{made}",
        title="Morning run",
        state=activity_pb2.ACTIVITY_STATE_FINISHED,
        sport=sport_pb2.SPORT_RUNNING,
        sample_count=1800,
        etag=str(etag),
    )
    told.start_time.FromDatetime(at)
    told.end_time.FromDatetime(at + timedelta(minutes=30))
    told.create_time.FromDatetime(at)
    told.update_time.FromDatetime(at)
    told.summary.distance_m, told.summary.elapsed_s = 5495.0, 1800.0
    connection.execute(
        "INSERT INTO activities VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, NULL)",
        (user, made, told.state, told.sport, at, etag, etag, None, told.SerializeToString()),
    )
    connection.execute("INSERT INTO streams VALUES (%s, %s, %s, %s)", (user, made, 1, b"packed"))
    connection.execute(
        "INSERT INTO progress_days VALUES (%s, %s, %s, 1, 1800000, 1764000, 5495000, 88000)",
        (user, at.date(), told.sport),
    )
    return told


def counts(connection: Connection) -> dict[str, int]:
    """How many rows each table of the schema has."""
    names = connection.execute(
        "SELECT table_name FROM information_schema.tables "
        "WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
    ).fetchall()
    found = {}
    for (name,) in names:
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(str(name)))
        row = connection.execute(query).fetchone()
        assert row is not None
        found[str(name)] = int(str(row[0]))
    return found
