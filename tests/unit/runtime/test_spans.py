"""Sampled calls leave spans, and what is called within goes on under them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mesh.runtime import calls, traces
from mesh.runtime.calls import Call

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    monkeypatch.setattr(traces, "_tracer", None)
    monkeypatch.setattr(traces, "_ratio", 0.0)
    exporter = InMemorySpanExporter()
    traces.install("test", SimpleSpanProcessor(exporter), 0.0)
    yield exporter
    exporter.shutdown()


async def test_a_sampled_call_leaves_a_span_under_its_caller(
    exported: InMemorySpanExporter,
) -> None:
    call = Call("/a.B/C", "edge", traceparent=f"00-{TRACE}-{PARENT}-01")
    with traces.span(call):
        within = calls.current()
    (span,) = exported.get_finished_spans()
    assert span.name == "/a.B/C"
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert within is not None
    assert within.traceparent == f"00-{TRACE}-{span.context.span_id:016x}-01"


async def test_a_call_that_is_not_sampled_leaves_none(exported: InMemorySpanExporter) -> None:
    with traces.span(Call("/a.B/C", "edge", traceparent=f"00-{TRACE}-{PARENT}-00")):
        pass
    assert exported.get_finished_spans() == ()


def test_a_context_is_made_unsampled_where_nothing_is_asked_for(
    exported: InMemorySpanExporter,
) -> None:
    assert traces.incoming("").endswith("-00")
