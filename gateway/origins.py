"""Whose pages may use the edge from a browser: one setting for CORS and for WebSockets.

Owns how the setting is read and what fits it. Who calls is told by the token, which no
browser sends by itself; so that any origin is a sound default, and none gets credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 100
_ORIGIN = re.compile(r"(https?)://((?:\*\.)?[a-z0-9.-]+|\[[0-9a-f:]+\])(?::(\d{1,5}|\*))?")


class OriginError(ValueError):
    """The setting cannot be read; the words name the entry."""


@dataclass(frozen=True, slots=True)
class Origins:
    """The origins allowed."""

    regexes: tuple[str, ...]
    """Each fits an origin as browsers write it, in RE2's and Python's syntax; none for all."""

    @property
    def any(self) -> bool:
        """Whether every origin may."""
        return not self.regexes

    def __contains__(self, origin: object) -> bool:
        """Whether an origin, as a browser sent it, is among them."""
        text = str(origin).lower()
        return self.any or any(re.fullmatch(each, text) for each in self.regexes)


ANY = Origins(())


def parse(text: str) -> Origins:
    """`*`, or origins with commas between: `https://app.example`, `https://*.app.example`.

    `*.` stands for one or more labels of a name, `:*` for any port.

    Raises:
        OriginError: an entry is no origin, or there are too many, or none.
    """
    entries = [each.strip().rstrip("/").lower() for each in text.split(",") if each.strip()]
    if "*" in entries:
        return ANY
    if not 1 <= len(entries) <= MOST:
        raise OriginError(f"give * or 1 to {MOST} origins, not {len(entries)}")
    return Origins(tuple(_regex(each) for each in entries))


def _regex(entry: str) -> str:
    found = _ORIGIN.fullmatch(entry)
    if found is None:
        raise OriginError(f"{entry!r} is no origin like https://app.example or https://*.example")
    scheme, host, port = found.groups()
    wild = host.startswith("*.")
    name = ("[a-z0-9-]+(?:\\.[a-z0-9-]+)*\\." if wild else "") + re.escape(host[2 * wild :])
    ending = {None: "", "*": "(?::[0-9]+)?"}.get(port, f":{port}")
    return f"{scheme}://{name}{ending}"
