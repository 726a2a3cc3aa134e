"""Traces from the browser's request through Kafka to the e-mail, by W3C `traceparent`.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the `traceparent` of a request is passed on in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.settings import ServiceSettings

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("footlights")


def configure(settings: ServiceSettings) -> None:
    """Starts exporting spans if an endpoint is configured."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", settings.otel_exporter_otlp_endpoint)
    provider = TracerProvider(resource=Resource.create({"service.name": f"footlights-{settings.service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def current_traceparent() -> str | None:
    """The `traceparent` to put on an outgoing event or request."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(name: str, traceparent: str | None, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[None]:
    """Continues the trace of `traceparent` while inside; the trace is carried on even when nothing is exported."""
    carrier = {"traceparent": traceparent} if traceparent else {}
    token = otel_context.attach(_propagator.extract(carrier))
    try:
        with _tracer.start_as_current_span(name, kind=kind):
            yield
    finally:
        otel_context.detach(token)
