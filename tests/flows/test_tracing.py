"""One trace from the browser's request through Kafka to the mail, whether spans are exported or not."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from chassis import tracing
from tests.flows.stage import EVERY_ROLE, Stage
from tests.harness import eventually


@dataclass
class Shop:
    """A show on sale, and the mails about an order that somebody's browser placed with a traceparent."""

    platform: Stage
    key: str
    show: str

    async def buy(self, seat: str, traceparent: str) -> list[str]:
        """The traceparents of the messages about the order."""
        hold, quote = await self.platform._hold(self.show, seat)
        body = {
            "quote": quote,
            "customer": {"name": "Олена", "email": "traced@example.com", "phone": "+380671234568"},
            "payment_method": "invoice",
            "locale": "uk",
        }
        path, headers = f"/api/orders/orders/{hold}/checkout", {"traceparent": traceparent}
        await self.platform.must("POST", path, body, headers=headers)

        async def sent() -> list[str]:
            async with self.platform.apps["notifications"].state.db.as_worker() as session:
                about = text("SELECT traceparent FROM message WHERE order_id = :order AND status = 'sent'")
                return list(await session.scalars(about, {"order": hold}))

        return await eventually(sent, timeout=40)


@pytest.fixture(scope="session")
async def shop(platform: Stage) -> Shop:
    slug = f"traced-{token_hex(4)}"
    organisation = await platform.organisation(slug)
    key = await platform.key(f"all@{slug}.example", organisation, *EVERY_ROLE)
    return Shop(platform, key, (await platform.sell(key))["show_id"])


async def test_the_browsers_trace_reaches_the_mail_while_nothing_is_exported(shop: Shop) -> None:
    assert tracing._tracer is None
    traceparent = f"00-{token_hex(16)}-{token_hex(8)}-01"
    assert set(await shop.buy("1-4", traceparent)) == {traceparent}


async def test_every_step_is_a_span_of_the_browsers_trace(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("footlights"))
    trace = token_hex(16)
    found = await shop.buy("1-5", f"00-{trace}-{token_hex(8)}-01")
    assert {traceparent.split("-")[1] for traceparent in found} == {trace}

    def steps() -> set[str]:
        spans = exporter.get_finished_spans()
        return {span.name for span in spans if f"{span.context.trace_id:032x}" == trace}

    def complete() -> bool:
        names = steps()
        assert {"POST", "handle orders.order.placed.v1"} <= names
        return any(name.startswith("send ") for name in names)

    await eventually(complete)
    parents = {span.parent.span_id for span in exporter.get_finished_spans() if span.parent is not None}
    made = {span.context.span_id for span in exporter.get_finished_spans()}
    assert parents & made, "steps hang on each other, not all on the browser"
