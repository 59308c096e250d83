"""What a process is told at its start: its environment, read once, here only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

PREFIX = "PALESTRA_"
T = TypeVar("T")


class SettingsError(Exception):
    """A setting is missing or cannot be read; names the variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every service process is told."""

    service: str
    """The service's name in the catalogue."""
    listen: str
    """Where to serve: `unix:/path` or `host:port`."""
    mesh: str
    """Where every outgoing call goes."""
    mesh_proof_file: Path
    """Holds what the node proxy proves itself with."""
    database_url: str = field(repr=False)
    """libpq URL of the service's own role."""
    redis_url: str = field(repr=False)
    """URL of the bus and cache."""
    worker: int = 0
    """Which of the service's workers this is."""
    leases: bool = True
    """Whether it seeks leases: relays events, handles them, does jobs."""
    metrics: str = ""
    """Where to serve metrics; empty for nowhere."""
    region: int = 0
    """The home region of the people made here, 0 to 255."""
    log_level: str = "INFO"
    drain_s: float = 1.0
    """Between NOT_SERVING and refusing new calls."""
    grace_s: float = 5.0
    """For calls under way when serving ends."""
    database_pool: int = 8
    """Most database connections of this process."""
    blobs_url: str = ""
    """Where blobs lie: `file:///folder`, `s3://bucket/prefix`; empty for nowhere."""
    blobs_keys_file: Path = Path("blob-keys.json")
    """Holds the keys that sign links to blobs."""
    blobs_site: str = ""
    """What links to blobs begin with, `https://api.example`; they are paths where it is empty."""
    seal_keys_file: Path | None = None
    """Holds the keys that seal what the service keeps secret in its own rows."""
    trace_endpoint: str = ""
    """Where spans go by OTLP/HTTP; empty for nowhere."""
    trace_ratio: float = 0.01
    """Of the calls that come without a sampling decision."""


def read(cls: type[T], prefix: str = PREFIX, environ: Mapping[str, str] | None = None) -> T:
    """Fills a settings dataclass from `<prefix><FIELD>` variables.

    Raises:
        SettingsError: one is missing, or is not of the field's type.
    """
    environ = os.environ if environ is None else environ
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    for each in fields(cls):  # type: ignore[arg-type]
        name = prefix + each.name.upper()
        if name in environ:
            values[each.name] = _convert(name, environ[name], _kind(hints[each.name]))
        elif each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(f"{name} is not set")
    return cls(**values)


def read_own(cls: type[T], service: str, environ: Mapping[str, str] | None = None) -> T:
    """A service's own settings, `PALESTRA_<SERVICE>_<FIELD>`.

    Raises:
        SettingsError: as `read`; or there is a variable that is none of its settings, so that
            nobody believes to have set what he mistyped.
    """
    environ = os.environ if environ is None else environ
    prefix = f"{PREFIX}{service.upper()}_"
    known = {prefix + each.name.upper() for each in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted({name for name in environ if name.startswith(prefix)} - known):
        raise SettingsError(f"{unknown[0]} is no setting of {service}")
    return read(cls, prefix, environ)


def _kind(hint: Any) -> Any:
    """`Path | None` is told as a Path."""
    kinds = [each for each in get_args(hint) if each is not type(None)]
    return kinds[0] if kinds else hint


def _convert(name: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off", ""):
            return False
        raise SettingsError(f"{name} is {text!r}, not yes or no")
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(f"{name} is {text!r}: {error}") from None
