"""What one process of the stack is: the row that the supervisor works from.

Owns the vocabulary of the process table. Starts nothing.
"""

from __future__ import annotations

import enum
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class Stage(enum.IntEnum):
    """Start-up goes through these in order; the end goes through them backwards."""

    STORES = 0
    CONTROL = 1
    PROXIES = 2
    SERVICES = 3


class Health(enum.Enum):
    """One answer of a probe."""

    SERVING = "serving"
    NOT_SERVING = "not serving"
    """It answers, and says that it is not ready or is draining."""
    SILENT = "silent"
    """It does not answer."""


Probe = Callable[[int], AsyncGenerator[Health, None]]
"""Given a process id, says how that process is, again and again, and never ends by itself.
It yields at least every few seconds, so that silence is noticed."""


@dataclass(frozen=True, slots=True)
class Account:
    """As whom a process runs."""

    user: int | None = None
    """None: as the supervisor's own user."""
    capabilities: tuple[int, ...] = ()
    """Linux capabilities kept in spite of `user`."""


SELF = Account()
"""As the supervisor's own user."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One process: how it starts, when it serves, how it ends."""

    name: str
    stage: Stage
    argv: tuple[str, ...]
    probe: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment."""
    cwd: Path = Path("/")
    service: str = ""
    """The name that `logs` and `restart` know it by, beside its own."""
    endpoint: Path | None = None
    """The socket that gets the service's traffic while the process serves."""
    sockets: tuple[Path, ...] = ()
    """Removed before each start: a killed process leaves them behind."""
    before: Callable[[], None] | None = None
    """Done before each start; raises StackError where a start makes no sense."""
    once: Callable[[], None] | None = None
    """Done once, when it first serves, before the next stage starts."""
    account: Account = SELF
    start_s: float = 30.0
    """It is killed if it does not serve within this time."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 10.0
    """It is killed if it does not end within this time."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when the supervisor dies."""
