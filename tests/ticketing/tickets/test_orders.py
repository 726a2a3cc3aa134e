"""What becomes of an order's seats, whatever its events and whenever they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from contracts.orders import OrderCancelled, OrderPaid, TicketsRevoked
from contracts.ticketing import HoldConversionRefused, HoldExtended, HoldReleased, TicketsIssued, TicketsVoided
from services.ticketing.holds.requests import Granted, Refused
from tests.ticketing.holds.crowd import answers, ask, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.theatre import Order
from tests.ticketing.tickets.box import Box


@pytest.fixture
async def box(db):
    async with open_lane(db) as lane:
        yield Box(db, await make_show(db), lane)


async def test_a_late_payment_gets_the_same_seats_if_they_are_free(box):
    order = await box.hold("1-1", "1-2")
    await run_out(box, order)
    assert (await box.said(order, HoldReleased))[0].seats == ("1-1", "1-2")
    await box.hear(order.paid())
    (issued,) = await box.said(order, TicketsIssued)
    assert [ticket.seat for ticket in issued.tickets] == ["1-1", "1-2"]
    assert set(await box.sold()) == {"1-1", "1-2"}


async def test_a_late_payment_is_refused_when_one_seat_is_gone_and_frees_the_others(box):
    order = await box.hold("1-1", "1-2")
    await run_out(box, order)
    other = await box.hold("1-2")
    await box.hear(order.paid())
    (refused,) = await box.said(order, HoldConversionRefused)
    assert refused.seats == ("1-2",)
    assert await box.living() == {}
    (got,) = await answers([box.lane], [ask(box.layout, "1-1")])
    assert isinstance(got, Granted)
    await box.hear(other.paid())
    assert set(await box.living()) == {"1-2"}
    # Paid once more, it is not answered once more.
    await box.hear(order.paid())
    assert len(await box.said(order, HoldConversionRefused)) == 1


async def test_a_prolongation_that_fails_keeps_nothing(box):
    order = await box.hold("1-1", "1-2")
    await run_out(box, order)
    await box.hold("1-2")
    await box.hear(order.placed())
    assert isinstance((await answers([box.lane], [ask(box.layout, "1-1")]))[0], Granted)
    assert isinstance((await answers([box.lane], [ask(box.layout, "1-2")]))[0], Refused)
    (released,) = await box.said(order, HoldReleased)
    assert (released.seats, released.reason) == (("1-1", "1-2"), "expired")


async def test_an_order_that_is_heard_of_after_the_time_of_its_hold_has_its_seats(box):
    """Kafka was away meanwhile: it was placed, and paid, in time."""
    kept, paid, late = [await box.hold(seat) for seat in ("1-1", "1-2", "1-3")]
    for order in (kept, paid, late):
        await lapse(box, order)
    await box.hear(kept.placed())
    assert [event.seats for event in await box.said(kept, HoldExtended)] == [("1-1",)]
    for event in (paid.placed(datetime.now(UTC) - timedelta(minutes=3)), paid.paid()):
        await box.hear(event)
    assert set(await box.living()) == {"1-2"}
    for event in (late.placed(datetime.now(UTC) - timedelta(minutes=3)), late.expired()):
        await box.hear(event)
    assert [event.seats for event in await box.said(late, HoldReleased)] == [("1-3",)]


async def test_the_answer_about_a_hold_comes_once_or_too_late_and_changes_nothing_then(box):
    order = await box.hold("1-1")
    await lapse(box, order)
    unclaimed = order.unclaimed()
    await box.hear(order.placed())
    await box.hear(unclaimed)
    assert not await box.said(order, HoldReleased)
    await box.hear(order.paid())
    await box.hear(unclaimed)
    assert set(await box.living()) == {"1-1"}


async def test_more_time_to_pay_prolongs_the_hold_of_an_order(box):
    order = await box.hold("1-1")
    pay_by = datetime.now(UTC) + timedelta(minutes=15)
    for event in (order.placed(pay_by), order.changed(), order.changed(pay_by + timedelta(days=5))):
        await box.hear(event)
    first, second = await box.said(order, HoldExtended)
    assert second.expires_at - first.expires_at == timedelta(days=5)


async def test_a_placed_order_prolongs_its_hold_and_takes_it_back_after_expiry(box):
    order = await box.hold("1-1")
    await run_out(box, order)
    pay_by = datetime.now(UTC) + timedelta(minutes=15)
    await box.hear(order.placed(pay_by))
    (extended,) = await box.said(order, HoldExtended)
    assert extended.expires_at == pay_by + timedelta(minutes=2)
    assert extended.seats == ("1-1",)
    (got,) = await answers([box.lane], [ask(box.layout, "1-1")])
    assert not isinstance(got, Granted)


async def test_a_cancelled_show_refuses_the_conversion(box):
    order = await box.hold("1-1")
    async with box.db.as_worker() as session:
        await session.execute(text("UPDATE show SET status = 'cancelled' WHERE id = :id"), {"id": box.layout.show_id})
    await box.hear(order.paid())
    (refused,) = await box.said(order, HoldConversionRefused)
    assert "closed" in refused.reason
    assert await box.sold() == {}


async def test_the_last_guard_is_an_index_on_living_tickets(box):
    order = await box.hold("1-1")
    await box.hear(order.paid())
    columns = (
        "organisation, order_id, hold_id, document_id, show_id, seat, place, label, zone_name, price_minor, currency"
    )
    copy = text(
        f"INSERT INTO ticket (id, code, holder_name, {columns})"
        f" SELECT gen_random_uuid(), 'x', 'x', {columns} FROM ticket WHERE show_id = :id"
    )
    async with box.db.as_worker() as session:
        with pytest.raises(IntegrityError, match="uq_ticket_living_seat"):
            await session.execute(copy, {"id": box.layout.show_id})
        await session.rollback()


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(
            ["placed", "paid", "paid", "cancelled", "expired", "revoked 1", "revoked all", "lapsed", "unclaimed"]
        ),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
@example(steps=[(1, "lapsed"), (1, "unclaimed"), (1, "paid"), (0, "paid")])
@example(steps=[(0, "revoked 1"), (0, "paid"), (0, "cancelled"), (0, "revoked all")])
@example(steps=[(0, "placed"), (0, "cancelled"), (0, "paid")])
async def test_any_events_in_any_order_any_number_of_times(db, steps):
    """Two orders want the same two seats, the second as soon as the first has lost them."""
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db, 1, 3), lane)
        orders = [await box.hold("1-1", "1-2"), await box.hold("1-3")]
        orders[1].hold["seats"] = [{**seat, "seat": key} for key in ("1-2", "1-3") for seat in orders[1].hold["seats"]]
        heard: list[tuple[Order, Any]] = []
        for which, step in steps:
            order = orders[which]
            if step == "lapsed":
                await lapse(box, order)
                continue
            event = {
                "placed": order.placed,
                "paid": order.paid,
                "cancelled": order.cancelled,
                "expired": order.expired,
                "unclaimed": order.unclaimed,
                "revoked 1": lambda order=order: order.revoked(order.hold["seats"][0]["seat"]),
                "revoked all": order.revoked,
            }[step]()
            await box.hear(event)
            heard.append((order, event.data))
        await check(box, orders, heard)


async def lapse(box: Box, order: Order) -> None:
    """The time of its hold passes."""
    await let_run_out(box.db, box.layout.show_id, UUID(order.hold["hold_id"]))
    await lapse_all(box.db)


async def run_out(box: Box, order: Order) -> None:
    """The time of its hold passes, and nobody has ordered the seats."""
    await lapse(box, order)
    await box.hear(order.unclaimed())


async def check(box: Box, orders: list[Order], heard: list[tuple[Order, Any]]) -> None:
    living = await box.living()
    assert living == await box.sold()
    for order in orders:
        order_id = UUID(order.hold["hold_id"])
        story = [data for about, data in heard if about is order]
        issued = await box.said(order, TicketsIssued)
        refused = await box.said(order, HoldConversionRefused)
        paid = [i for i, data in enumerate(story) if isinstance(data, OrderPaid)]
        cancelled = [i for i, data in enumerate(story) if isinstance(data, OrderCancelled)]
        revoked = [data for data in story if isinstance(data, TicketsRevoked)]
        assert len(issued) <= 1
        assert not (issued and refused)
        if not paid:
            assert not issued
            assert not refused
        elif not revoked:
            assert issued or refused, "a paid order was not answered"
        if cancelled and (not paid or cancelled[0] < paid[0]):
            assert not issued, "tickets after the order was cancelled"
        assert {a.request_id for a in await box.said(order, TicketsVoided)} == {data.request_id for data in revoked}
        gone = {seat for data in revoked for seat in data.seats}
        mine = {seat for seat, holder in living.items() if holder == order_id}
        assert not mine & gone, "a revoked seat has a living ticket"
        if issued:
            assert mine == {ticket.seat for ticket in issued[0].tickets} - gone
