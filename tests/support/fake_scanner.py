"""A scanner as clamscan is one: `fake_scanner.py FOLDER FILE`; 0 clean, 1 infected, 2 broken.

Finds the test pattern of the antivirus trade anywhere. Is broken while FOLDER/broken is
there; waits while FOLDER/wait is there, and says in FOLDER/asked that it does.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

PATTERN = b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE"
LONGEST_WAIT_S = 60.0


def main(folder: Path, file: Path) -> int:
    """The exit status."""
    until_s = time.monotonic() + LONGEST_WAIT_S
    while (folder / "wait").exists() and time.monotonic() < until_s:
        (folder / "asked").touch()
        time.sleep(0.02)
    if (folder / "broken").exists():
        return 2
    return int(PATTERN in file.read_bytes())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
