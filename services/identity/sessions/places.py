"""About where a network is used: looked up in a file of the deployment's, and kept nowhere.

The file is of MaxMind's format (GeoLite2 City or Country, DB-IP Lite): none comes with the
product, for their licences ask whoever uses them. It is read in place; a newer one is taken
up at the next start.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesh.runtime.settings import SettingsError

if TYPE_CHECKING:
    from maxminddb import Reader


@dataclass(frozen=True, slots=True)
class Place:
    """About where somebody was."""

    country_code: str
    """ISO 3166-1 alpha-2."""
    city: str
    """In English; empty where only the country is known."""


class Places:
    """Looks networks up; knows of none where there is no file."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises SettingsError where the file cannot be read."""
        self._reader = _opened(path) if path else None

    def of(self, network: str) -> Place | None:
        """Where a network is, `203.0.113.0/24`; None where that is not known."""
        if self._reader is None or not network:
            return None
        try:
            found = self._reader.get(network.partition("/")[0])
        except ValueError:
            return None
        country = _told(found, "country", "iso_code") or _told(
            found, "registered_country", "iso_code"
        )
        return Place(country, _told(found, "city", "names", "en")) if country else None


def _opened(path: Path) -> Reader:
    import maxminddb

    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise SettingsError(f"no places in {path}: {error}") from None


def _told(found: Any, *steps: str) -> str:
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
