"""REST path templates -> patterns that choose the route of a request.

Owns the reading of a template (`/v1/{name=users/*}:watch`) and the order in
which patterns are tried. Never binds a variable to a field: the transcoder does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VARIABLE = re.compile(r"\{[a-z0-9_.]+(?:=([^{}]*))?\}")
_SEGMENT = re.compile(r"\*\*?|[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a request's path must look like."""

    template: str
    """The template with its variables' names taken out, `/v1/users/*:watch`."""
    segments: tuple[str, ...]
    verb: str
    """What follows the last colon, empty for none."""

    @property
    def exact(self) -> bool:
        """Whether one path alone fits."""
        return "*" not in self.template

    @property
    def regex(self) -> str:
        """The pattern in RE2's syntax; it must fit the whole path."""
        wild = {"*": "[^/]+", "**": ".+"}
        parts = [wild.get(segment) or re.escape(segment) for segment in self.segments]
        if self.segments[-1] == "*":
            # What follows a colon there is a verb, of another template.
            parts[-1] = "[^/:]+"
        return "/" + "/".join(parts) + (f":{re.escape(self.verb)}" if self.verb else "")

    @property
    def rank(self) -> tuple[bool, bool, int, int, str]:
        """Sorts what is more particular first, as the transcoder itself chooses."""
        wide = self.template.count("**")
        wild = self.template.count("*") - 2 * wide
        return (not self.exact, not self.verb, wide, wild, self.template)


def overlap(one: Pattern, other: Pattern) -> bool:
    """Whether there is a path that fits both, and the order would decide who gets it.

    What follows the last colon is no part of a name: `/v1/users/*` leaves `:watch` alone.
    """
    return one.verb == other.verb and _overlap(one.segments, other.segments)


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if not one or not other:
        return not one and not other
    (first, *_), (second, *_) = one, other
    if "**" in (first, second):
        return (
            _overlap(one[1:], other[1:])
            or (first == "**" and _overlap(one, other[1:]))
            or (second == "**" and _overlap(one[1:], other))
        )
    fits = "*" in (first, second) or first == second
    return fits and _overlap(one[1:], other[1:])


def pattern_of(template: str) -> Pattern:
    """The pattern of a `google.api.http` path template.

    Raises:
        ValueError: the template has a part that the transcoder cannot serve.
    """
    flat = _VARIABLE.sub(lambda found: found.group(1) or "*", template)
    path, colon, verb = flat.rpartition(":") if ":" in flat.rsplit("/", 1)[-1] else (flat, "", "")
    segments = path.split("/")
    if segments[0] or len(segments) < 2 or bool(colon) != bool(verb):
        raise ValueError(f"the path {template!r} is not /segment/…[:verb]")
    for segment in (*segments[1:], *([verb] if verb else [])):
        if not _SEGMENT.fullmatch(segment):
            raise ValueError(f"the path {template!r} has a part that cannot be served: {segment!r}")
    return Pattern(flat, tuple(segments[1:]), verb)
