"""What a process is told at its start: its environment, read once, here only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

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
            values[each.name] = _convert(name, environ[name], hints[each.name])
        elif each.default is MISSING and each.default_factory is MISSING:
            raise SettingsError(f"{name} is not set")
    return cls(**values)


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
