"""What the events of an order do to its hold, and never to anybody else's seats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts.ticketing import HoldConversionRefused, HoldExtended, HoldReleased, TicketsIssued
from services.ticketing.errors import HoldEnded, HoldOrdered, NoSuchHold
from services.ticketing.holds import seats
from services.ticketing.holds.commands import extend_hold, release_hold
from services.ticketing.tickets.orders import seats_unclaimed
from tests.ticketing.holds.crowd import holders, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.theatre import Order
from tests.ticketing.tickets.box import Box

HOUR = timedelta(hours=1)


@pytest.fixture
async def box(db):
    async with open_lane(db) as lane:
        yield Box(db, await make_show(db), lane)


def id_of(order: Order) -> UUID:
    return UUID(order.hold["hold_id"])


async def release(box: Box, order: Order, organisation: UUID | None = None) -> None:
    async with box.db.as_worker() as session:
        await release_hold(session, id_of(order), organisation)


async def test_seats_that_were_held_and_not_ordered_return_to_sale(box):
    order = await box.hold("1-1", "1-2", "1-3")
    order.hold["seats"] = order.hold["seats"][:2]
    await box.hear(order.paid())
    assert set(await holders(box.db, box.layout)) == set(await box.sold()) == {"1-1", "1-2"}


async def test_nobody_frees_the_seats_of_another(box):
    """What a hold lost, whatever is said of it later, is no longer its to give up."""
    order = await box.hold("1-1", "1-2")
    await release(box, order)
    rival = await box.hold("1-2", "1-3")
    for event in (order.placed(), order.paid(), order.revoked(), order.expired(), order.cancelled()):
        await box.hear(event)
        assert await holders(box.db, box.layout) == {"1-2": id_of(rival), "1-3": id_of(rival)}
    async with box.db.as_worker() as session:
        assert await seats.free(session, box.layout.show_id, id_of(order), ["1-2", "1-3"]) == ()
    assert len(await box.said(order, HoldConversionRefused)) == 1


async def test_an_older_deadline_does_not_shorten_the_hold(box):
    order = await box.hold("1-1")
    pay_by = datetime.now(UTC) + HOUR
    for time in (pay_by, pay_by - HOUR / 2, pay_by):
        await box.hear(order.changed(time))
    (extended,) = await box.said(order, HoldExtended)
    assert extended.expires_at == pay_by + timedelta(minutes=2)


@pytest.mark.parametrize("end", ["cancelled", "paid"])
async def test_news_of_an_order_that_is_over_keeps_no_seats(box, end):
    order = await box.hold("1-1")
    late = order.placed(datetime.now(UTC) + HOUR)
    await box.hear(getattr(order, end)())
    before = await holders(box.db, box.layout)
    await box.hear(late)
    assert await box.said(order, HoldExtended) == []
    assert await holders(box.db, box.layout) == before


async def test_a_refused_order_takes_no_seats_that_become_free_later(box):
    order = await box.hold("1-1", "1-2")
    late = order.placed(datetime.now(UTC) + HOUR)
    await let_run_out(box.db, box.layout.show_id, id_of(order))
    await lapse_all(box.db)
    async with box.db.as_worker() as session:
        await seats_unclaimed(session, id_of(order))
    rival = await box.hold("1-2")
    await box.hear(order.paid())
    assert len(await box.said(order, HoldConversionRefused)) == 1
    await release(box, rival)
    await box.hear(late)
    assert await box.said(order, HoldExtended) == []
    assert await holders(box.db, box.layout) == {}


async def test_a_hold_is_its_organisations_and_its_orders(box):
    order = await box.hold("1-1")
    stranger, ours = uuid4(), box.layout.organisation
    with pytest.raises(NoSuchHold):
        await release(box, order, stranger)
    async with box.db.as_worker() as session:
        with pytest.raises(NoSuchHold):
            await extend_hold(session, id_of(order), stranger, lifetime=HOUR, usual=HOUR, buffer=timedelta(0))
    await box.hear(order.placed())
    for organisation in (None, ours):
        with pytest.raises(HoldOrdered):
            await release(box, order, organisation)
    await box.hear(order.paid())
    for organisation in (None, ours):
        with pytest.raises(HoldEnded):
            await release(box, order, organisation)
    assert set(await box.sold()) == {"1-1"}
    assert await box.said(order, HoldReleased) == []


async def test_tickets_are_issued_once_and_say_what_was_paid(box):
    order = await box.hold("1-2", "1-1")
    paid = order.paid()
    await box.hear(paid)
    await box.hear(order.paid())
    (issued,) = await box.said(order, TicketsIssued)
    assert [(t.seat, t.price.minor, t.price.currency, t.zone_name) for t in issued.tickets] == [
        (line.reference, line.unit_price.minor, "UAH", "Z") for line in paid.data.lines
    ]
    assert issued.documents[0].ticket_ids == tuple(ticket.ticket_id for ticket in issued.tickets)
    assert (issued.show_id, issued.show_name, issued.hall_name) == (box.layout.show_id, "S", "H")
    numbers = [int(ticket.number) for ticket in issued.tickets]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 2
