"""What all tests share: how the log of a process looks in which a service runs."""

from __future__ import annotations

import structlog

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
