"""Counts and durations of this process, served as Prometheus text."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, generate_latest

from mesh.observability import schema

REQUESTS = Counter(schema.REQUESTS, "Calls by outcome.", schema.REQUEST_LABELS)
DURATIONS = Histogram(
    schema.REQUEST_DURATION,
    "How long calls took, in ms.",
    schema.DURATION_LABELS,
    buckets=schema.DURATION_BUCKETS_MS,
)
STREAMS = Gauge(schema.STREAMS_OPEN, "Streams under way.", ("method",))
UNEXPECTED = Counter(schema.UNEXPECTED_ERRORS, "Exceptions nobody foresaw.", ("method",))
EVENTS = Counter(schema.EVENTS_HANDLED, "Events by effect.", ("handler", "effect"))
REVOCATIONS = Gauge(schema.REVOCATIONS_KNOWN, "Tokens, people and keys not believed.")
REVOCATIONS_SILENCE = Gauge(
    schema.REVOCATIONS_SILENCE, "Since identity last gave a sign of life, in s."
)
AUDIT_LOST = Counter(schema.AUDIT_LOST, "Audit records that could not be written.", ("method",))

_HEADER_END = b"\r\n\r\n"
_LONGEST_REQUEST = 8192


async def serve(address: str) -> asyncio.AbstractServer | None:
    """Serves `GET /metrics` on `unix:/path` or `host:port`; nothing where empty."""
    if not address:
        return None
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        Path(path).unlink(missing_ok=True)
        return await asyncio.start_unix_server(_answer, path, limit=_LONGEST_REQUEST)
    host, _, port = address.rpartition(":")
    return await asyncio.start_server(_answer, host, int(port), limit=_LONGEST_REQUEST)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(5):
            request = await reader.readuntil(_HEADER_END)
        found = request.startswith(b"GET /metrics ")
        body = generate_latest() if found else b"GET /metrics is all there is\n"
        status = b"200 OK" if found else b"404 Not Found"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)
        )
        await writer.drain()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        pass  # a scraper that went away or spoke nonsense is not our trouble
    finally:
        writer.close()
