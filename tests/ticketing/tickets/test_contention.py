"""Two transactions about the same order, hold or show at the same moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chassis.problems import PreconditionFailed
from contracts.ticketing import HoldConversionRefused, HoldExtended, HoldLapsed, HoldReleased, TicketsIssued
from services.ticketing.errors import HoldAtItsLimit, HoldEnded
from services.ticketing.holds.commands import extend_hold, lock_hold, prolong, release_hold
from services.ticketing.shows import commands
from services.ticketing.shows.tables import Show
from services.ticketing.tickets import orders
from tests.contention import beside_a_transaction, done_or_waiting, wrong_clock
from tests.ticketing.holds.crowd import board_of, holders, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.theatre import Order
from tests.ticketing.tickets.box import PRINTER, Box

__all__ = ["wrong_clock"]
HOUR = timedelta(hours=1)


@pytest.fixture
async def box(db):
    async with open_lane(db) as lane:
        yield Box(db, await make_show(db), lane)


def id_of(order: Order) -> UUID:
    return UUID(order.hold["hold_id"])


async def ran_out(box: Box, order: Order) -> None:
    await let_run_out(box.db, box.layout.show_id, id_of(order))


async def extend(box: Box, order: Order, **more):
    terms = {"organisation": None, "lifetime": None, "usual": HOUR, "buffer": timedelta(0), **more}
    async with box.db.as_worker() as session:
        return await extend_hold(session, id_of(order), **terms)


async def test_a_seat_revoked_at_the_moment_of_the_payment_gets_no_ticket(box):
    order = await box.hold("1-1", "1-2")
    await box.hear(order.placed())
    paid, revoked = order.paid(), order.revoked("1-1")
    async with beside_a_transaction(box.db, box.hear(paid)) as session:
        await orders.tickets_revoked(session, board_of(box.db), box.layout.organisation, revoked.data)
    assert set(await box.living()) == {"1-2"}
    assert set(await box.sold()) == {"1-2"}


@pytest.mark.parametrize("end", ["revoked", "cancelled"])
async def test_what_ends_an_order_while_its_tickets_are_made_waits_for_them(box, end):
    """The payment has read what is known of the order and waits for the hold: nobody may pass it there."""
    order = await box.hold("1-1", "1-2")
    await box.hear(order.placed())
    paid, ending = order.paid(), order.revoked("1-1") if end == "revoked" else order.cancelled()
    async with box.db.as_worker() as session:
        await lock_hold(session, id_of(order))
        paying = asyncio.create_task(box.hear(paid))
        await done_or_waiting(box.db, paying)
        last = asyncio.create_task(box.hear(ending))
        await done_or_waiting(box.db, paying, last)
    await asyncio.gather(paying, last)
    living = await box.living()
    assert living == await box.sold()
    assert set(living) == ({"1-2"} if end == "revoked" else {"1-1", "1-2"})
    assert await box.said(order, HoldConversionRefused, HoldReleased) == []


async def test_an_order_cancelled_at_the_moment_of_the_payment_gets_no_ticket(box):
    order = await box.hold("1-1")
    await box.hear(order.placed())
    paid, cancelled = order.paid(), order.cancelled()
    async with beside_a_transaction(box.db, box.hear(paid)) as session:
        await orders.order_cancelled(session, box.layout.organisation, cancelled.data)
    assert await box.living() == {}
    assert len(await box.said(order, HoldConversionRefused)) == 1


async def test_two_payments_at_the_same_moment_give_one_set_of_tickets(box):
    order = await box.hold("1-1")
    await box.hear(order.placed())
    first, second = order.paid(), order.paid()
    async with beside_a_transaction(box.db, box.hear(second)) as session:
        await orders.order_paid(session, board_of(box.db), PRINTER, box.layout.organisation, first.data)
    assert len(await box.said(order, TicketsIssued)) == 1
    assert await box.said(order, HoldConversionRefused) == []


async def test_a_hold_that_is_being_kept_longer_does_not_lapse(box):
    """Nor do the others wait for it."""
    order = await box.hold("1-1")
    await ran_out(box, order)
    until = datetime.now(UTC) + HOUR
    async with box.db.as_worker() as session:
        hold = await lock_hold(session, id_of(order))
        assert hold is not None
        assert await prolong(session, hold, until)
        await session.flush()
        lapsing = asyncio.create_task(lapse_all(box.db))
        await done_or_waiting(box.db, lapsing)
        waits = not lapsing.done()
    await lapsing
    assert not waits
    assert await box.said(order, HoldLapsed) == []
    async with box.db.as_worker() as session:
        hold = await lock_hold(session, id_of(order))
        assert hold is not None
        assert (hold.status, hold.expires_at) == ("active", until)
    assert set(await holders(box.db, box.layout)) == {"1-1"}


async def test_two_edits_of_one_version_of_a_show_are_one_edit(box):
    """Both have seen it before either changes it: the second must look again."""
    layout = box.layout

    async def rename(name: str) -> str:
        try:
            async with box.db.as_worker() as session:
                changes = {"name": name}
                await commands.change_show(
                    session, board_of(box.db), layout.organisation, layout.show_id, layout.version, changes
                )
        except PreconditionFailed:
            return "stale"
        return name

    async with box.db.as_worker() as session:
        await session.execute(text("SELECT 1 FROM show WHERE id = :id FOR UPDATE"), {"id": layout.show_id})
        edits = [asyncio.create_task(rename(name)) for name in ("first", "second")]
        await done_or_waiting(box.db, *edits)
    said = await asyncio.gather(*edits)
    (winner,) = set(said) - {"stale"}
    assert sorted(said) == sorted([winner, "stale"])
    async with box.db.as_worker() as session:
        show = await session.get_one(Show, layout.show_id)
        assert (show.name, show.version) == (winner, layout.version + 1)


async def test_a_payment_for_the_show_of_another_organisation_gets_no_tickets(box):
    stranger = uuid4()
    seat = await box.hold("1-1")
    foreign = Order(
        stranger, {**seat.hold, "hold_id": str(uuid4()), "seats": [seat.hold["seats"][0] | {"seat": "1-2"}]}
    )
    async with box.db.as_worker() as session:
        await orders.order_paid(session, board_of(box.db), PRINTER, stranger, foreign.paid().data)
    (refused,) = await box.said(foreign, HoldConversionRefused)
    assert refused.seats == ("1-2",)
    assert await box.living() == {}
    async with box.db.as_worker() as session:
        await orders.tickets_revoked(session, board_of(box.db), stranger, foreign.revoked("1-2").data)
    assert len(await box.said(foreign, HoldReleased, TicketsIssued)) == 0


async def test_a_buyer_extends_a_hold_up_to_its_limit_and_no_further(box):
    order = await box.hold("1-1")
    async with box.db.as_worker() as session:
        hold = await lock_hold(session, id_of(order))
        assert hold is not None
        latest, hold.expires_at = hold.latest_at, hold.placed_at + timedelta(minutes=1)
    # Half an hour more is within the limit, the whole hour reaches it, and then there is no more.
    half = await extend(box, order, lifetime=HOUR / 2)
    assert half.placed_at + HOUR / 2 <= half.expires_at < latest
    full = await extend(box, order, lifetime=2 * HOUR)
    assert full.expires_at == latest
    with pytest.raises(HoldAtItsLimit):
        await extend(box, order, lifetime=2 * HOUR)
    assert [event.expires_at for event in await box.said(order, HoldExtended)][-1] == latest
    # The desk may go beyond, until the show begins.
    desk = await extend(box, order, lifetime=3 * HOUR, organisation=box.layout.organisation)
    assert desk.expires_at > latest + HOUR
    desk = await extend(box, order, lifetime=3000 * HOUR, organisation=box.layout.organisation)
    assert desk.expires_at == box.layout.starts_at
    with pytest.raises(HoldAtItsLimit):
        await extend(box, order, lifetime=3000 * HOUR, organisation=box.layout.organisation)


class TestClocks:
    """The database's clock decides about holds, whatever the one of this process says."""

    async def test_a_hold_lives_as_long_as_the_database_says(self, box, wrong_clock):
        order = await box.hold("1-1", lifetime=120)
        async with box.db.as_worker() as session:
            left = text("SELECT extract(epoch FROM expires_at - clock_timestamp()) FROM hold WHERE id = :id")
            assert 60 < float(await session.scalar(left, {"id": id_of(order)})) <= 120
        await lapse_all(box.db)
        assert await box.said(order, HoldLapsed) == []
        extended = await extend(box, order, lifetime=HOUR / 2)
        assert extended.expires_at > extended.placed_at
        await box.hear(order.paid())
        assert set(await box.living()) == {"1-1"}

    async def test_a_hold_that_ran_out_has_ended(self, box, wrong_clock):
        order = await box.hold("1-1")
        await ran_out(box, order)
        with pytest.raises(HoldEnded):
            await extend(box, order)
        await lapse_all(box.db)
        assert len(await box.said(order, HoldLapsed)) == 1

    async def test_the_time_of_an_order_that_is_over_takes_no_seats(self, box, wrong_clock):
        order = await box.hold("1-1")
        await ran_out(box, order)
        async with box.db.as_worker() as session:
            now = await session.scalar(text("SELECT clock_timestamp()"))
        await box.hear(order.placed(now - timedelta(minutes=5)))
        assert await box.said(order, HoldExtended) == []
        await box.hear(order.placed(now + timedelta(minutes=5)))
        assert [event.seats for event in await box.said(order, HoldExtended)] == [("1-1",)]

    async def test_a_hold_is_let_go(self, box, wrong_clock):
        order = await box.hold("1-1")
        async with box.db.as_worker() as session:
            await release_hold(session, id_of(order), None)
        assert await holders(box.db, box.layout) == {}
