"""Rows and totals depend on what happened, not on how often or in which order it was told."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.db import Database
from contracts.envelope import Event
from contracts.orders import (
    OrderDeleted,
    OrderState,
    PaymentReceived,
    PaymentRefunded,
)
from contracts.ticketing import TicketsIssued, TicketsVoided
from services.reporting import projection, totals
from tests.events import NOON, OrderStory, organisation_registered, show_created
from tests.reporting.tables import contents, empty

STEPS = ("placed", "paid", "issued", "refund_one", "refund_rest", "cancelled", "deleted")


@st.composite
def histories(draw: st.DrawFn) -> list[Event[Any]]:
    """What happened to up to six orders of two organisations, each in its own order of events."""
    organisations = [uuid4(), uuid4()]
    events: list[Event[Any]] = [organisation_registered(organisation) for organisation in organisations]
    shows = [uuid4(), uuid4()]
    events += [show_created(organisations[n], show) for n, show in enumerate(shows)]
    for _ in range(draw(st.integers(1, 6))):
        n = draw(st.integers(0, 1))
        seats = draw(st.integers(1, 3))
        story = OrderStory(
            organisations[n],
            show=draw(st.sampled_from([shows[n], None])),
            minor=draw(st.integers(1, 100_000)),
            currency=draw(st.sampled_from(["UAH", "PLN"])),
            seats=seats,
        )
        tell(story, draw(st.integers(0, len(STEPS))), seats)
        events += story.events
    return events


def tell(story: OrderStory, steps: int, seats: int) -> None:
    story.interested()
    for step in STEPS[:steps]:
        if step == "refund_one":
            story.refund(1)
        elif step == "refund_rest":
            if seats > 1:
                story.refund(seats - 1)
        elif step == "issued":
            if story.show:
                story.issued()
        elif step == "cancelled":
            continue  # a paid order is refunded instead
        else:
            getattr(story, step)()


def disturbed(events: list[Event[Any]], seed: int) -> list[list[Event[Any]]]:
    """The same events, some of them twice or three times, shuffled, in batches of any size."""
    chance = random.Random(seed)
    told = [event for event in events for _ in range(chance.choice((1, 1, 2, 3)))]
    chance.shuffle(told)
    batches = []
    while told:
        size = chance.randint(1, 12)
        batches.append(told[:size])
        told = told[size:]
    return batches


class Recount:
    """Totals by plain counting over the events: what SQL must agree with."""

    def __init__(self, events: list[Event[Any]], organisation: UUID, show: UUID | None = None) -> None:
        latest: dict[UUID, OrderState] = {}
        removed = set()
        shows: dict[UUID, UUID | None] = {}
        for event in events:
            if event.organisation == organisation and isinstance(event.data, OrderState):
                latest[event.data.order_id] = event.data
                shows[event.data.order_id] = event.data.show_id
                if isinstance(event.data, OrderDeleted):
                    removed.add(event.data.order_id)
        listed = [o for o in latest.values() if o.order_id not in removed and show in (None, o.show_id)]
        self.by_stage = Counter(order.stage.value for order in listed)
        self.orders = len(listed)
        self.paid = sum(order.stage == "paid" for order in listed)
        self.new_unpaid = sum(order.stage == "awaiting_payment" for order in listed)
        self.income: Counter[str] = Counter()
        tickets: dict[str, set[UUID]] = {"issued": set(), "voided": set()}
        for event in events:
            data = event.data
            if event.organisation != organisation:
                continue
            if isinstance(data, PaymentReceived | PaymentRefunded) and show in (None, shows[data.order_id]):
                sign = 1 if isinstance(data, PaymentReceived) else -1
                self.income[data.amount.currency] += sign * data.amount.minor
            elif isinstance(data, TicketsIssued | TicketsVoided) and show in (None, data.show_id):
                kind = "issued" if isinstance(data, TicketsIssued) else "voided"
                tickets[kind] |= {ticket.ticket_id for ticket in data.tickets}
        self.tickets = {
            "issued": len(tickets["issued"]),
            "voided": len(tickets["voided"]),
            "valid": len(tickets["issued"] - tickets["voided"]),
        }


async def check_totals(db: Database, events: list[Event[Any]]) -> None:
    organisations = {event.organisation for event in events if event.organisation}
    shows = {(e.organisation, e.data.show_id) for e in events if isinstance(e.data, OrderState) and e.data.show_id}
    for organisation, show in {*((o, None) for o in organisations), *shows}:
        assert organisation is not None
        async with db.for_organisation(organisation) as session:
            of = await totals.scope(session, organisation, show=show)
            counted = await totals.count(session, of)
        expected = Recount(events, organisation, show)
        assert {m["currency"]: m["minor"] for m in counted["income"]} == expected.income
        assert counted["orders"] == expected.orders
        assert counted["paid"] == expected.paid
        assert counted["new_unpaid"] == expected.new_unpaid
        assert counted["by_stage"] == expected.by_stage
        assert counted["tickets"] == expected.tickets


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=histories(), seed=st.integers(0, 2**32))
async def test_duplicates_and_disorder_change_nothing(db: Database, events: list[Event[Any]], seed: int) -> None:
    async with db.as_worker() as session:
        await empty(session)
        await projection.apply(session, events)
        in_order = await contents(session)
    await check_totals(db, events)
    async with db.as_worker() as session:
        await empty(session)
        for batch in disturbed(events, seed):
            await projection.apply(session, batch)
        assert await contents(session) == in_order
    await check_totals(db, events)


async def test_a_removed_order_keeps_its_money(db: Database) -> None:
    organisation = uuid4()
    story = OrderStory(organisation)
    story.placed()
    story.paid()
    story.deleted()
    story.refund()  # also what happens to it later does not bring it back
    async with db.as_worker() as session:
        await projection.apply(session, story.events)
    await check_totals(db, story.events)
    async with db.for_organisation(organisation) as session:
        counted = await totals.count(session, await totals.scope(session, organisation))
    assert counted["orders"] == 0
    assert counted["received"] == [{"minor": 12_500, "currency": "UAH"}]


async def test_currencies_are_never_added_up(db: Database) -> None:
    organisation = uuid4()
    hryvnias, zlotys = OrderStory(organisation, minor=100), OrderStory(organisation, minor=7, currency="PLN")
    for story in (hryvnias, zlotys):
        story.placed()
        story.paid()
    async with db.as_worker() as session:
        await projection.apply(session, [*hryvnias.events, *zlotys.events])
    async with db.for_organisation(organisation) as session:
        counted = await totals.count(session, await totals.scope(session, organisation))
    assert counted["income"] == [{"minor": 7, "currency": "PLN"}, {"minor": 100, "currency": "UAH"}]


async def test_a_day_begins_at_midnight_of_the_organisation(db: Database) -> None:
    """22:30 UTC is the next day in Kyiv, three hours ahead in summer."""
    organisation = uuid4()
    late = OrderStory(organisation, at=NOON.replace(hour=22, minute=30))
    late.placed()
    late.paid()
    async with db.as_worker() as session:
        await projection.apply(session, [organisation_registered(organisation), *late.events])
    async with db.for_organisation(organisation) as session:
        found = await totals.days(session, await totals.scope(session, organisation))
        assert [item["day"].isoformat() for item in found["items"]] == ["2026-05-21"]
        assert found["items"][0]["orders"] == 1
        assert found["items"][0]["income"] == [{"minor": 12_500, "currency": "UAH"}]
        first = found["items"][0]["day"]
        counted = await totals.count(session, await totals.scope(session, organisation, first=first, last=first))
        assert counted["orders"] == 1
        before = first.replace(day=20)
        counted = await totals.count(session, await totals.scope(session, organisation, last=before))
        assert counted["orders"] == 0
        assert counted["income"] == []


async def test_text_that_postgresql_cannot_hold_does_not_stop_the_projection(db: Database) -> None:
    story = OrderStory(uuid4(), title="a\x00b")
    story.placed()
    async with db.as_worker() as session:
        await projection.apply(session, story.events)
        assert "ab" in (await contents(session))["order_row"][0]


@pytest.mark.parametrize("organisation", ["other", "none"])
async def test_row_level_security_stands_behind_the_statements(db: Database, organisation: str) -> None:
    owner = uuid4()
    story = OrderStory(owner, show=uuid4())
    story.placed()
    story.paid()
    story.issued()
    events = [organisation_registered(owner), show_created(owner, story._show), *story.events, story.deleted()]
    async with db.as_worker() as session:
        await projection.apply(session, events)
        assert all((await contents(session)).values())
    async with db.for_organisation(uuid4() if organisation == "other" else None) as session:
        assert not any((await contents(session)).values()), "a query without its filter must return nothing"
    async with db.for_organisation(owner) as session:
        assert all((await contents(session)).values())
