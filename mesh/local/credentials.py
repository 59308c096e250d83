"""The stack's own passwords, keys and proof, made once and kept in the state folder.

Owns `secrets.json`, `seals` and `mesh/proof`, all readable by their user only. Adds what
a new service needs, never changes what is there.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesh.local.errors import StackError
from mesh.local.places import Places, read_json, write_json

ADMIN = "palestra"
"""The name under which the supervisor itself logs in to the stores."""

_BYTES = 24
_SEAL_BYTES = 32


@dataclass(frozen=True, slots=True)
class Credentials:
    """A password per account; letters and digits only, so that no quoting is needed."""

    postgres: dict[str, str]
    redis: dict[str, str]


def _accounts(found: object, names: Iterable[str]) -> dict[str, str]:
    known = dict(found) if isinstance(found, dict) else {}
    for name in names:
        known[name] = str(known.get(name) or secrets.token_hex(_BYTES))
    return known


def ensure(places: Places, services: Iterable[str], counters: Iterable[str] = ()) -> Credentials:
    """Reads the passwords, makes those that are missing, and the proof.

    `services` have both stores, `counters` Redis alone.

    Raises:
        StackError: the file is there but unreadable: new passwords would lock us out.
    """
    path = places.state / "secrets.json"
    found = read_json(path)
    if found is None and path.exists():
        raise StackError(f"{path} is damaged; restore it, or move {places.state} away.")
    names = [ADMIN, *services]
    credentials = Credentials(
        postgres=_accounts((found or {}).get("postgres"), names),
        redis=_accounts((found or {}).get("redis"), [*names, *counters]),
    )
    content = {"postgres": credentials.postgres, "redis": credentials.redis}
    if content != found:
        write_json(path, content, durable=True)
    for service in names[1:]:
        _ensure_seal_keys(places.seal_keys(service))
    _ensure_proof(places)
    return credentials


def _ensure_seal_keys(path: Path) -> None:
    """One key, as `mesh.runtime.sealing` reads it.

    Raises:
        StackError: the file is there but unreadable: what is sealed could not be opened.
    """
    if read_json(path) is not None:
        return
    if path.exists():
        raise StackError(f"{path} is damaged; restore it: rows are sealed by its keys.")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    secret = base64.b64encode(secrets.token_bytes(_SEAL_BYTES)).decode()
    content = {"keys": [{"id": secrets.token_hex(4), "secret": secret}]}
    write_json(path, content, durable=True)


def _ensure_proof(places: Places) -> None:
    if places.proof.exists() and places.proof.stat().st_size:
        return
    fresh = places.proof.with_name(f".proof.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    fresh.rename(places.proof)
