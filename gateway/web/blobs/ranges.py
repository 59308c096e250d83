"""One range of a file, as HTTP asks for it (RFC 9110 §14).

Owns what is asked for and what is passed over: several ranges, other units and what
cannot be read get the whole file, as the standard has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from mesh.runtime.blobs import Blob

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*", re.ASCII | re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range begins behind the end."""


def asked(headers: Mapping[str, str], blob: Blob) -> tuple[int, int] | None:
    """From where to before where; None for all of it.

    Raises:
        Unsatisfiable
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or not (found[1] or found[2]) or not _is_same(headers, blob):
        return None
    size = blob.size_bytes
    if not found[1]:
        return _suffix(int(found[2]), size)
    start, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return start, min(last + 1, size)


def _suffix(length: int, size: int) -> tuple[int, int]:
    if not length or not size:
        raise Unsatisfiable
    return max(0, size - length), size


def _is_same(headers: Mapping[str, str], blob: Blob) -> bool:
    """Whether the file is still the one of which the client has a part."""
    condition = headers.get("if-range", "").strip()
    if not condition:
        return True
    if condition.startswith(('"', "W/")):
        return condition == f'"{blob.etag}"'
    try:
        return parsedate_to_datetime(condition) == blob.modified_at.replace(microsecond=0)
    except (TypeError, ValueError):
        return False
