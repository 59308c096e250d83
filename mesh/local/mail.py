"""What `palestra mail` prints: the letters of a stack, as its mailbox keeps them.

Reads only. A letter is a file of JSON, whose name begins with the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mesh.local.places import Places, read_json

_LOOK_S = 0.2


def letters(places: Places, address: str, *, follow: bool) -> Iterator[dict[str, Any]]:
    """The letters to an address, or to all, the oldest first; if following, new ones for ever."""
    seen: set[Path] = set()
    while True:
        found = sorted(path for path in places.mail.glob("*.json") if path not in seen)
        for path in found:
            letter = read_json(path)
            # One that is taken away meanwhile was too old to be shown.
            if letter is not None and _is_to(letter, address):
                yield letter
        seen.update(found)
        if not follow:
            return
        time.sleep(_LOOK_S)


def _is_to(letter: dict[str, Any], address: str) -> bool:
    return not address or str(letter.get("to", "")).casefold() == address.casefold()


def line(letter: dict[str, Any]) -> str:
    """A letter for people."""
    details = letter.get("details") or {}
    told = [
        str(letter.get("time", ""))[:19].replace("T", " "),
        str(letter.get("to", "")),
        str(letter.get("kind", "")).replace("_", " "),
        f"code {letter['code']}" if letter.get("code") else "",
        ", ".join(f"{name} {value}" for name, value in details.items()),
    ]
    return "  ".join(each for each in told if each)
