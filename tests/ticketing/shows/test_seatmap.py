"""The seats in memory follow the service's own events, and stay small however long they are looked at."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson

from contracts.envelope import Event
from contracts.ticketing import HoldExtended
from services.ticketing import metrics
from services.ticketing.shows.seatmap import SeatMaps, View
from tests.ticketing.holds.crowd import board_of, lapse_all, make_show, open_lane
from tests.ticketing.tickets.box import Box


async def test_a_hold_that_takes_its_seats_again_is_read_seat_by_seat(db):
    """Not the whole hall: orders that come late are many when an on-sale is busy."""
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db), lane)
        maps = SeatMaps(db, board_of(db), refresh_seconds=3600)
        order = await box.hold("1-1", "1-2", lifetime=0.01)
        await asyncio.sleep(0.05)
        await lapse_all(db)
        await box.hear(order.unclaimed())
        show_id = box.layout.show_id
        assert set((await _states(maps, show_id)).values()) == {"free"}

        await box.hear(order.placed(datetime.now(UTC) + timedelta(minutes=15)))
        (extended,) = await box.said(order, HoldExtended)
        whole = _whole_reads()
        maps.hear(Event(id=uuid4(), data=extended, organisation=box.layout.organisation))

        held = {seat for seat, state in (await _states(maps, show_id)).items() if state == "held"}
        assert held == {"1-1", "1-2"}
        assert _whole_reads() == whole


async def test_seats_of_a_hold_whose_time_is_over_are_held_until_their_order_is_known(db):
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db), lane)
        maps = SeatMaps(db, board_of(db), refresh_seconds=0)
        order = await box.hold("1-1", lifetime=0.01)
        await asyncio.sleep(0.05)
        await lapse_all(db)
        assert (await _states(maps, box.layout.show_id))["1-1"] == "held"
        await box.hear(order.unclaimed())
        assert (await _states(maps, box.layout.show_id))["1-1"] == "free"


async def test_the_show_that_was_looked_at_longest_ago_is_forgotten(db):
    maps = SeatMaps(db, board_of(db), refresh_seconds=60, most_seats=29)
    first, second, third = [(await make_show(db)).show_id for _ in range(3)]
    for show_id in (first, second, first, third):
        await maps.view(show_id)
    assert set(maps._maps) == {first, third}


def test_a_form_is_written_only_when_it_is_asked_for():
    view = View(uuid4(), 7, ["a", "b"], b"fh")
    assert "full" not in vars(view)
    assert orjson.loads(view.compact)["states"] == "fh"
    assert "full" not in vars(view)
    assert orjson.loads(view.full)["seats"] == {"a": "free", "b": "held"}


async def _states(maps: SeatMaps, show_id: UUID) -> dict[str, str]:
    _, view = await maps.view(show_id)
    return orjson.loads(view.full)["seats"]


def _whole_reads() -> float:
    return metrics.SEATMAP_READS.labels("whole")._value.get()
