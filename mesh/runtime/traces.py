"""W3C trace context through calls and events, spans only where they are wanted.

A span is made when the incoming context is sampled, or for a share of those
that come without one; everything else costs a string comparison.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mesh.runtime.settings import Settings

_SHAPE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_propagator = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
_ratio = 0.0


def configure(settings: Settings) -> None:
    """Sets up the exporter where the settings name one; call once."""
    global _tracer, _ratio
    if not settings.trace_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": settings.service}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.trace_endpoint))
    )
    _tracer = provider.get_tracer("palestra")
    _ratio = settings.trace_ratio


def new_traceparent(*, sampled: bool) -> str:
    """A fresh W3C trace context."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-0{int(sampled)}"


def incoming(traceparent: str) -> str:
    """The context to go on with: the incoming one, or a fresh one where that is none."""
    if _SHAPE.fullmatch(traceparent):
        return traceparent
    return new_traceparent(sampled=_tracer is not None and random.random() < _ratio)


def span(name: str, traceparent: str) -> AbstractContextManager[Any]:
    """A server span under `traceparent`; nothing where it is not sampled."""
    if _tracer is None or not traceparent.endswith("1"):
        return nullcontext()
    carrier: Mapping[str, str] = {"traceparent": traceparent}
    return _tracer.start_as_current_span(
        name, context=_propagator.extract(carrier), kind=SpanKind.SERVER
    )
