"""When the edge has heard of a change of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mesh.local import keys
from mesh.local.errors import StackError
from mesh.local.places import Places, write_json

KEYS = [
    {"keyId": "next", "state": "NEXT"},
    {"keyId": "now", "state": "SIGNING"},
    {"keyId": "old", "state": "RETIRED"},
    {"keyId": "gone", "state": "WITHDRAWN"},
]


@pytest.mark.parametrize(
    ("key_ids", "ready", "has"),
    [
        (["next", "now", "old"], True, True),
        # It may have forgotten one whose tokens are over.
        (["next", "now"], True, True),
        (["next", "now", "old", "gone"], True, False),
        (["now", "old"], True, False),
        (["next", "now", "old"], False, False),
    ],
)
def test_the_edge_has_heard_when_it_takes_the_new_ones_and_not_the_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_ids: list[str], ready: bool, has: bool
) -> None:
    monkeypatch.setattr(keys, "EDGE_S", 0.05)
    places = Places(tmp_path)
    places.control.parent.mkdir()
    write_json(places.control, {"key_ids": key_ids, "ready": ready})
    assert keys.edge_has(places, KEYS) is has


def test_without_a_stack_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no stack is running"):
        keys.run(Places(tmp_path), ["list"], {})


def test_a_key_is_told_in_a_line() -> None:
    key: dict[str, Any] = {
        "keyId": "k1",
        "state": "WITHDRAWN",
        "publishTime": "then",
        "withdrawTime": "now",
        "withdrawnBy": "vera",
        "why": "it leaked",
        "alwaysSealed": False,
    }
    assert keys.line(key) == (
        "k1  withdrawn  published then  withdrawn now by vera: it leaked  (once lay unsealed)"
    )
