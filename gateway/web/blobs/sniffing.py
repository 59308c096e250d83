"""What a file is, by its first bytes; what its sender calls it counts for nothing.

Owns the signatures beside those of `filetype`: the formats of workouts. Content without
a signature is `application/octet-stream`, which a link must allow by that name.
"""

from __future__ import annotations

import re

HEAD_BYTES = 4_096
UNKNOWN = "application/octet-stream"
_ROOTS = (
    (b"gpx", "application/gpx+xml"),
    (b"TrainingCenterDatabase", "application/vnd.garmin.tcx+xml"),
    (b"svg", "image/svg+xml"),
    (b"html", "text/html"),
)
_ROOT = re.compile(rb"<(?:[A-Za-z][\w.-]*:)?([A-Za-z][\w.-]*)")
_PASSED = ((b"<?", b"?>"), (b"<!--", b"-->"), (b"<!", b">"))
"""What may stand before the root: declarations and comments."""
_HARMLESS = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "video/mp4", "video/webm"}
)


def media_type(head: bytes) -> str:
    """The media type of content that begins so."""
    import filetype

    if head[8:12] == b".FIT":
        return "application/vnd.ant.fit"
    found = filetype.guess_mime(head)
    return found or _of_markup(head) or UNKNOWN


def may_show(kind: str) -> bool:
    """Whether a browser may show it: there is no script in it, whoever sent it."""
    return kind in _HARMLESS


def _of_markup(head: bytes) -> str:
    root = _ROOT.match(_from_root(head.removeprefix(b"\xef\xbb\xbf")))
    if root is None:
        return ""
    return next((kind for name, kind in _ROOTS if root[1].lower() == name.lower()), "text/xml")


def _from_root(head: bytes) -> bytes:
    """Step by step: a regex over people's bytes could take for ever."""
    rest = head.lstrip()
    while passed := next((each for each in _PASSED if rest.startswith(each[0])), None):
        end = rest.find(passed[1])
        if end < 0:
            return b""
        rest = rest[end + len(passed[1]) :].lstrip()
    return rest
