"""Starts a child on the leash. The one place of this package that forks.

Decides nothing. Called from the supervisor's main thread only (see `leash`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from mesh.local.spec import SELF, Account

_LEASH = Path(__file__).with_name("leash.py")


def leashed(
    argv: Sequence[str], account: Account = SELF, died: signal.Signals = signal.SIGKILL
) -> list[str]:
    """The command that runs `argv` so that it gets `died` when this process is gone."""
    user = "-" if account.user is None else str(account.user)
    capabilities = ",".join(map(str, account.capabilities)) or "-"
    leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), str(int(died))]
    return [*leash, user, capabilities, *argv]


def start(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path
) -> subprocess.Popen[bytes]:
    """Starts a command in a session of its own, its output appended to a log file.

    Raises:
        OSError: the log cannot be written, or no process can be made.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C at the terminal reaches the supervisor only, which then drains.
            start_new_session=True,
        )
