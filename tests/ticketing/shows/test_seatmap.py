"""The seats in memory follow the service's own events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import orjson

from contracts.envelope import Event
from contracts.ticketing import HoldExtended
from services.ticketing import metrics
from services.ticketing.holds.expiry import expire_holds
from services.ticketing.shows.seatmap import SeatMaps
from tests.ticketing.holds.crowd import board_of, make_show, open_lane
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


async def _states(maps: SeatMaps, show_id: UUID) -> dict[str, str]:
    _, view = await maps.view(show_id)
    return orjson.loads(view.full)["seats"]


def _whole_reads() -> float:
    return metrics.SEATMAP_READS.labels("whole")._value.get()
