"""Takes the spans that processes send by OTLP/HTTP, on loopback, and keeps them as they came."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

MOST = 100_000


class SpanSink:
    """What was exported so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exports: list[ExportTraceServiceRequest] = []
        self.url = ""

    def take(self, body: bytes) -> None:
        """One export."""
        told = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            assert len(self._exports) < MOST
            self._exports.append(told)

    def text(self) -> str:
        """All of them, with every name, attribute and event, as text."""
        with self._lock:
            return "\n".join(str(each) for each in self._exports)

    def names(self, trace_id: bytes) -> set[str]:
        """What was called in one trace."""
        with self._lock:
            return {
                span.name
                for export in self._exports
                for resource in export.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
                if span.trace_id == trace_id
            }


@contextmanager
def span_sink() -> Iterator[SpanSink]:
    """A sink that listens until the block is left."""
    sink = SpanSink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            sink.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any, **more: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
