"""What all tests share: how a service's log looks, and what befalls one while the machine stops."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import structlog

from tests.support.once_more import OnceMore
from tests.support.standstill import watched

# structlog's own choice draws tracebacks with every variable's value: a group of sessions that
# fails took ten seconds of CPU to be told, and the test's patience was over.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each process that runs tests looks at the cores; who only deals them out does not."""
    config = session.config
    if hasattr(config, "workerinput") or not config.getoption("numprocesses"):
        looking = ExitStack()
        config.pluginmanager.register(OnceMore(looking.enter_context(watched())))
        config.add_cleanup(looking.close)
