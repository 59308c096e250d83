"""The slices that the proxies took last, kept for the next start.

Owns `slices.json`. A damaged one counts as none.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from mesh.control.authority import write_private
from mesh.control.slices import Slice, Whole

_FORMAT = 1


def save(path: Path, whole: Whole) -> None:
    """Keeps them, whole or not at all."""
    parts = {"": whole.shared, **whole.by_domain}
    document = {
        "format": _FORMAT,
        "slices": {
            name: {
                "domain": each.domain,
                "version": each.version,
                "files": [base64.b64encode(file).decode() for file in each.files],
                "overrides": each.overrides,
            }
            for name, each in parts.items()
        },
    }
    write_private(path, json.dumps(document).encode())


def read(path: Path) -> Whole | None:
    """What was kept; None where there is none or it is damaged."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != _FORMAT:
            return None
        found = {name: _slice(each) for name, each in document["slices"].items()}
        shared = found.pop("")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Whole(shared, found)


def _slice(kept: dict[str, object]) -> Slice:
    files, said = kept["files"], str(kept["overrides"])
    if not isinstance(files, list):
        raise TypeError("no list of files")
    found = Slice(str(kept["domain"]), tuple(base64.b64decode(file) for file in files), said)
    if found.version != kept["version"]:
        raise ValueError(f"the slice of {found.domain} is not what was kept")
    return found
