"""Traces from the browser's request through Kafka to the e-mail, by W3C `traceparent`.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set; the `traceparent` of a request is passed on in any case.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.settings import ServiceSettings

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_propagator = TraceContextTextMapPropagator()
_tracer: trace.Tracer | None = None
_passed_on: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""What came, and goes out again, while nothing is exported."""


def configure(settings: ServiceSettings) -> None:
    """Starts exporting spans if an endpoint is configured."""
    global _tracer
    if not settings.otel_exporter_otlp_endpoint:
        return
    os.environ.setdefault("OTEL_EXPORTER_OTLP_ENDPOINT", settings.otel_exporter_otlp_endpoint)
    provider = TracerProvider(resource=Resource.create({"service.name": f"footlights-{settings.service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer("footlights")


def current_traceparent() -> str | None:
    """The `traceparent` to put on an outgoing event or request."""
    if _tracer is None:
        return _passed_on.get()
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def span(name: str, traceparent: str | None, kind: SpanKind = SpanKind.INTERNAL) -> AbstractContextManager[object]:
    """Continues the trace of `traceparent` while inside; the trace is carried on even when nothing is exported."""
    if _tracer is None:
        return _PassOn(traceparent)
    return _exported(_tracer, name, traceparent, kind)


class _PassOn:
    __slots__ = ("_token", "_traceparent")

    def __init__(self, traceparent: str | None) -> None:
        self._traceparent = traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None

    def __enter__(self) -> None:
        self._token = _passed_on.set(self._traceparent)

    def __exit__(self, *_: object) -> None:
        _passed_on.reset(self._token)


@contextmanager
def _exported(tracer: trace.Tracer, name: str, traceparent: str | None, kind: SpanKind) -> Iterator[None]:
    carrier = {"traceparent": traceparent} if traceparent else {}
    token = otel_context.attach(_propagator.extract(carrier))
    try:
        with tracer.start_as_current_span(name, kind=kind):
            yield
    finally:
        otel_context.detach(token)
