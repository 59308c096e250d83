"""What a start leaves out, it leaves out of the start alone."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: what this one has imported already stays.
_SCRIPT = """
import gc, sys
from mesh.importing import UNUSED, frugally
with frugally():
    assert not gc.isenabled()
    import redis.asyncio, structlog
    assert not any(sys.modules.get(name) for name in UNUSED)
assert gc.isenabled() and gc.get_freeze_count()
import opentelemetry.sdk.trace, rich.console
"""


def test_what_is_left_out_can_be_imported_afterwards() -> None:
    subprocess.run([sys.executable, "-c", _SCRIPT], check=True, timeout=60)
