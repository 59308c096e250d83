"""What docs/oauth.md says is shown by tests is: by tests of those names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
LEAST = 20


def test_each_test_that_the_list_of_rfc_9700_names_is_there() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "docs/oauth.md").read_text()))
    assert len(named) >= LEAST
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))
    assert named <= there, named - there
