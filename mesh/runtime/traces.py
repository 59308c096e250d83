"""W3C trace context through calls and events, spans only where they are wanted.

A span is made when the incoming context is sampled, or for a share of those
that come without one; everything else costs a string comparison.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mesh.runtime import calls
from mesh.runtime.calls import Call
from mesh.runtime.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_SHAPE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_propagator = TraceContextTextMapPropagator()
_NOTHING: Final = nullcontext()
_tracer: trace.Tracer | None = None
_ratio = 0.0


def configure(settings: Settings) -> None:
    """Sets up the exporter where the settings name one; call once."""
    if not settings.trace_endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=settings.trace_endpoint)
    install(settings.service, BatchSpanProcessor(exporter), settings.trace_ratio)


def install(service: str, processor: SpanProcessor, ratio: float) -> None:
    """Sends the spans of this process to `processor`; `ratio` of what comes undecided."""
    global _tracer, _ratio
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("palestra")
    _ratio = ratio


def new_traceparent(*, sampled: bool) -> str:
    """A fresh W3C trace context."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-0{int(sampled)}"


def incoming(traceparent: str) -> str:
    """The context to go on with: the incoming one, or a fresh one where that is none."""
    if _SHAPE.fullmatch(traceparent):
        return traceparent
    return new_traceparent(sampled=_tracer is not None and random.random() < _ratio)


def span(call: Call) -> AbstractContextManager[None]:
    """A span of the call; what is called and told within goes on under it.

    Nothing where the call is not sampled.
    """
    if _tracer is None or not call.traceparent.endswith("1"):
        return _NOTHING
    return _recorded(_tracer, call)


@contextmanager
def _recorded(tracer: trace.Tracer, call: Call) -> Iterator[None]:
    parent = _propagator.extract({"traceparent": call.traceparent})
    with tracer.start_as_current_span(
        call.method,
        context=parent,
        kind=SpanKind.SERVER,
        # Words of errors may repeat what somebody sent: only what kind it was is told.
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        found = made.get_span_context()
        below = f"00-{found.trace_id:032x}-{found.span_id:016x}-01"
        calls.enter(replace(call, traceparent=below))
        try:
            yield
        except Exception as error:
            made.set_status(StatusCode.ERROR)
            made.set_attribute("error.type", type(error).__name__)
            raise
