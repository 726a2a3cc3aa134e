"""The seats in memory follow the service's own events, and stay small however long they are looked at."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson

from contracts.envelope import Event
from contracts.ticketing import HoldExtended
from services.ticketing import metrics
from services.ticketing.holds.expiry import expire_holds
from services.ticketing.shows import seatmap
from services.ticketing.shows.seatmap import SeatMaps, View
from tests.ticketing.holds.crowd import answers, ask, board_of, make_show, open_lane
from tests.ticketing.tickets.box import Box


async def test_a_hold_that_takes_its_seats_again_is_read_seat_by_seat(db):
    """Not the whole hall: orders that come late are many when an on-sale is busy."""
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db), lane)
        maps = SeatMaps(db, board_of(db), refresh_seconds=3600)
        order = await box.hold("1-1", "1-2", lifetime=0.05)
        await asyncio.sleep(0.1)
        while await expire_holds(db):
            pass
        show_id = box.layout.show_id
        assert set((await _states(maps, show_id)).values()) == {"free"}

        await box.hear(order.placed(datetime.now(UTC) + timedelta(minutes=15)))
        (extended,) = await box.said(order, HoldExtended)
        whole = _whole_reads()
        maps.hear(Event(id=uuid4(), data=extended, organisation=box.layout.organisation))

        held = {seat for seat, state in (await _states(maps, show_id)).items() if state == "held"}
        assert held == {"1-1", "1-2"}
        assert _whole_reads() == whole


async def test_a_show_that_is_watched_for_days_costs_what_its_held_seats_cost(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        await answers([lane], [ask(layout, "1-1", "1-2", lifetime=3600)])
    maps = SeatMaps(db, board_of(db), refresh_seconds=0)
    for _ in range(20):
        await maps.view(layout.show_id)
    watched = maps._maps[layout.show_id]
    assert len(watched.queue) == len(watched.ends) == 2


async def test_a_hold_still_ends_by_itself_after_many_readings(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        await answers([lane], [ask(layout, "1-1", lifetime=3600)])
    maps = SeatMaps(db, board_of(db), refresh_seconds=0)
    await maps.view(layout.show_id)
    await maps.view(layout.show_id)
    watched = maps._maps[layout.show_id]
    watched.ends["1-1"] -= 3600
    watched.requeue()
    watched.expire()
    assert orjson.loads(watched.view().full)["seats"]["1-1"] == "free"


async def test_the_show_that_was_looked_at_longest_ago_is_forgotten(db, monkeypatch):
    monkeypatch.setattr(seatmap, "KEPT", 2)
    maps = SeatMaps(db, board_of(db), refresh_seconds=60)
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
