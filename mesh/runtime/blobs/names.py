"""What a blob is called: `<area>/<service>/<user>/<kind>/<name>`, the same in store and URL.

Owns the areas. A person's blobs of a service share a prefix, so that erasing them is
deleting by prefix.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace

PAGE = "/blobs/v1"
"""Where blobs are at the edge."""
INCOMING = "incoming"
"""What was uploaded and is not yet kept by its service; gone after a day."""
KEPT = "kept"
"""What a service keeps; read by link only."""
PUBLIC = "public"
"""What anybody may read who knows its name: names that nobody can guess."""
AREAS = (INCOMING, KEPT, PUBLIC)
_PARTS = re.compile(r"[a-z][a-z0-9-]{0,31}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,95}(\.[a-z0-9]{1,8})?")


@dataclass(frozen=True, slots=True)
class BlobName:
    """One blob."""

    area: str
    service: str
    user: uuid.UUID
    kind: str
    """What it is to its service: `avatar`."""
    name: str
    """A UUIDv7, or one with what the service adds."""

    def __post_init__(self) -> None:
        """Refuses what would not come back as itself."""
        if self.area not in AREAS or not _NAME.fullmatch(self.name):
            raise ValueError(f"no name of a blob: {self.area}, {self.name}")
        if not _PARTS.fullmatch(self.service) or not _PARTS.fullmatch(self.kind):
            raise ValueError(f"no name of a blob: {self.service}, {self.kind}")

    def __str__(self) -> str:
        return f"{self.area}/{self.service}/{self.user}/{self.kind}/{self.name}"

    @property
    def path(self) -> str:
        """Its path at the edge; no character of it needs an escape."""
        return f"{PAGE}/{self}"

    def within(self, area: str) -> BlobName:
        """The same in another area."""
        return replace(self, area=area)


def parse(path: str) -> BlobName:
    """The name behind the edge's path.

    Raises:
        ValueError: there can be no such blob.
    """
    parts = path.removeprefix(f"{PAGE}/").split("/")
    if not path.startswith(f"{PAGE}/") or len(parts) != len(BlobName.__slots__):
        raise ValueError("no path of a blob")
    area, service, user, kind, name = parts
    found = BlobName(area, service, uuid.UUID(user), kind, name)
    if found.path != path:
        # UUIDs have other spellings, and two names of one blob would have two signatures.
        raise ValueError("no path of a blob")
    return found
