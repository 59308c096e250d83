"""Time zones are known where the system has no database of its own: the package `tzdata` has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ASK = """
import zoneinfo
from datetime import datetime
from services.identity.settings import zonenames
assert zoneinfo.TZPATH == (), zoneinfo.TZPATH
known = [zonenames.is_known(name) for name in ("Europe/Moscow", "Asia/Yekaterinburg", "UTC")]
unknown = [zonenames.is_known(name) for name in ("Europe/Atlantis", "Factory", "", "../etc")]
print(known, unknown, datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Moscow")).utcoffset())
"""


def test_zones_come_from_the_package_where_the_system_has_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=Path.cwd(),
        # What the standard library looks through: nothing.
        env={**os.environ, "PYTHONTZPATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("]") == [
        "[True, True, True",
        " [False, False, False, False",
        " 3:00:00\n",
    ]
