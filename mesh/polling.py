"""How gRPC's core waits for sockets in our processes.

Its default since 1.81 is a thread that waits, and a pool of others that do what there is
to do; Python's own thread hears of the end of that and wakes the event loop. Without the
two experiments below Python's thread does the waiting and the work itself, as in all
releases before: 8 changes of thread per call become 4, and a call costs 25 µs of CPU less
(of 145, an empty method over a socket of the machine's). A release that knows the names no
more goes by its default.

Before a fork gRPC would bring its threads to rest. With one that waits for sockets it cannot, and
says so in a line of the log each time; our processes fork only to run another program.
"""

from __future__ import annotations

import os
from typing import Final

SETTING: Final = "GRPC_EXPERIMENTS"
WITHOUT: Final = "-event_engine_listener,-event_engine_client"
_FORKS: Final = "GRPC_ENABLE_FORK_SUPPORT"


def directly() -> None:
    """By the thread that needs it; to be said before gRPC is imported, unless somebody chose."""
    if os.environ.setdefault(SETTING, WITHOUT) == WITHOUT:
        os.environ[_FORKS] = "false"
