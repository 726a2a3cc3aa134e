"""Staff read totals of their organisation, made of events that came through Kafka."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.accounts import Role
from tests.events import OrderStory, organisation_registered, publish, show_created
from tests.harness import Kafka, eventually
from tests.reporting.conftest import Service

UAH = "UAH"


async def test_the_four_totals_above_the_orders(reporting: Service, kafka: Kafka) -> None:
    """Two are paid, one of them is refunded, one waits, one only looked; another organisation sells too."""
    organisation, other = uuid4(), uuid4()
    paid, refunded = OrderStory(organisation, minor=20_000, seats=2), OrderStory(organisation, minor=5_000)
    waiting, interested = OrderStory(organisation), OrderStory(organisation)
    foreign = OrderStory(other, minor=999)
    for story in (paid, refunded, foreign):
        story.placed()
        story.paid()
    refunded.refund()
    waiting.placed()
    interested.interested()
    stories = (paid, refunded, waiting, interested, foreign)
    events = [event for story in stories for event in story.events]
    await publish(kafka.bootstrap_servers, [organisation_registered(organisation), *events, *events[:3]])

    async def all_are_counted():
        totals = await reporting.get("/totals", organisation)
        return totals if totals["orders"] == 4 and totals["refunded"] and totals["paid"] == 1 else None

    totals = await eventually(all_are_counted)
    assert totals["income"] == [{"minor": 40_000, "currency": UAH}]
    assert totals["received"] == [{"minor": 45_000, "currency": UAH}]
    assert totals["refunded"] == [{"minor": 5_000, "currency": UAH}]
    assert (totals["orders"], totals["new_unpaid"], totals["paid"]) == (4, 1, 1)
    assert totals["by_stage"] == {"awaiting_payment": 1, "cancelled": 1, "interested": 1, "paid": 1}
    assert totals["by_payment_status"] == {"money_received": 1, "money_refunded": 1, "not_paid": 2}

    stranger = await reporting.get("/totals", uuid4())
    assert (stranger["orders"], stranger["income"], stranger["as_of"]) == (0, [], None)


async def test_sales_of_one_show(reporting: Service, kafka: Kafka) -> None:
    """Bookings, paid orders, money and tickets of a show, for the whole time and for some days."""
    organisation, show, other_show = uuid4(), uuid4(), uuid4()
    sold = OrderStory(organisation, show=show, minor=10_000, seats=3)
    booked = OrderStory(organisation, show=show)
    elsewhere = OrderStory(organisation, show=other_show)
    for story in (sold, elsewhere):
        story.placed()
        story.paid()
        story.issued()
    sold.refund(1)
    booked.placed()
    events = [event for story in (elsewhere, sold, booked) for event in story.events]
    shows = [show_created(organisation, show), show_created(organisation, other_show, name="Кайдаші")]
    await publish(kafka.bootstrap_servers, [*reversed(events), *shows, *events])

    async def known():
        listed = await reporting.get("/shows", organisation)
        if len(listed["items"]) < 2:
            return None
        totals = await reporting.get(f"/shows/{show}/totals", organisation)
        assert totals["tickets"] == {"issued": 3, "valid": 2, "voided": 1}
        return totals if totals["orders"] == 2 and totals["refunded"] else None

    totals = await eventually(known)
    assert totals["show"]["name"] == "Лісова пісня"
    assert totals["income"] == [{"minor": 20_000, "currency": UAH}]
    assert totals["by_stage"] == {"awaiting_payment": 1, "paid": 1}

    before = await reporting.get(f"/shows/{show}/totals", organisation, to="2026-05-19")
    assert (before["orders"], before["income"], before["tickets"]["issued"]) == (0, [], 0)
    days = await reporting.get("/days", organisation, show_id=str(show))
    assert [(day["day"], day["orders"], day["paid"]) for day in days["items"]] == [("2026-05-20", 2, 1)]
    await reporting.get(f"/shows/{show}/totals", uuid4(), status=404)


async def test_every_report_says_up_to_when_it_knows(reporting: Service, kafka: Kafka) -> None:
    organisation = uuid4()
    now = datetime.now(UTC).replace(microsecond=0)
    story = OrderStory(organisation, at=now)
    story.placed()
    await publish(kafka.bootstrap_servers, story.events)

    async def known():
        return (await reporting.get("/as-of", organisation))["as_of"]

    assert datetime.fromisoformat(await eventually(known)) == now
    for path in ("/totals", "/days", "/as-of"):
        report = await reporting.get(path, organisation)
        assert datetime.fromisoformat(report["as_of"]) == now
        assert datetime.fromisoformat(report["generated_at"]) > now - timedelta(minutes=1)


async def test_only_staff_read_reports(reporting: Service) -> None:
    organisation = uuid4()
    for path in ("/totals", "/shows", f"/shows/{uuid4()}/totals", "/days", "/as-of"):
        async with reporting.http.get(f"{reporting.url}{path}") as answer:
            assert answer.status == 401
        headers = reporting.tokens.headers(reporting.tokens.buyer())
        async with reporting.http.get(f"{reporting.url}{path}", headers=headers) as answer:
            assert answer.status == 403
        await reporting.get(path, organisation, Role.STOREKEEPER, status=403)


@pytest.mark.parametrize("bounds", [{"from": "1969-12-31"}, {"to": "9999-12-31"}, {"from": "yesterday"}])
async def test_days_that_are_none_are_refused(reporting: Service, bounds: dict[str, str]) -> None:
    await reporting.get("/totals", uuid4(), status=422, **bounds)


async def test_what_is_exposed(reporting: Service) -> None:
    async with reporting.http.get(f"{reporting.url}/metrics") as answer:
        text = await answer.text()
    assert "footlights_reporting_events_projected_total" in text
    assert "footlights_reporting_newest_event_timestamp_seconds" in text
