"""Best available through the lane: everybody is answered, with seats or with the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from chassis.db import Database
from contracts.accounts import Role
from services.ticketing.holds.choosing import Choosing
from services.ticketing.holds.lane import Lane
from services.ticketing.holds.requests import Granted, Refused
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.seatmap import SeatMaps
from tests.ticketing.holds.crowd import answers, ask, ask_best, board_of, holders, make_show, open_lane
from tests.ticketing.plans import plan


@contextlib.asynccontextmanager
async def choosing_lane(db: Database, layout: Layout, refresh: float = 3600) -> AsyncIterator[Lane]:
    """A process of its own, with a seat map of its own that hears nothing from the others."""
    maps = SeatMaps(db, board_of(db), refresh_seconds=refresh)
    await maps.ready(layout.show_id)
    async with open_lane(db, choosing=Choosing(maps, db), on_taken=maps.taken) as lane:
        yield lane


@pytest.mark.parametrize("count", [1, 3])
async def test_everybody_has_two_neighbours_until_there_are_none(db, count):
    """45 ask for two of 60 seats in rows of ten, in processes that do not hear of each other."""
    layout = await make_show(db, 6, 10)
    async with contextlib.AsyncExitStack() as stack:
        lanes = [await stack.enter_async_context(choosing_lane(db, layout)) for _ in range(count)]
        got = await answers(lanes, [ask_best(layout, 2) for _ in range(45)])
    granted = [answer for answer in got if isinstance(answer, Granted)]
    assert len(granted) == 30
    assert [answer for answer in got if not isinstance(answer, Granted)] == [Refused("apart", most=0)] * 15
    for answer in granted:
        (row, first), (same, second) = (map(int, seat.seat.split("-")) for seat in answer.seats)
        assert row == same
        assert abs(first - second) == 1
    assert len(await holders(db, layout)) == 60


async def test_who_is_told_that_there_are_none_was_told_by_the_database(db):
    """Memory believes that the hall is full; the database knows better."""
    layout = await make_show(db, 1, 4)
    maps = SeatMaps(db, board_of(db), refresh_seconds=3600)
    await maps.ready(layout.show_id)
    maps.lost(layout.show_id, list(layout.offers))
    async with open_lane(db, choosing=Choosing(maps, db), on_taken=maps.taken) as lane:
        got = await answers([lane], [ask_best(layout, 4), ask_best(layout, 1)])
    assert isinstance(got[0], Granted)
    assert got[1] == Refused("apart", most=0)


async def test_seats_by_name_and_the_best_in_one_batch(db):
    layout = await make_show(db, 1, 6)
    async with choosing_lane(db, layout) as lane:
        got = await answers(
            [lane], [ask(layout, "1-1", "1-2"), ask_best(layout, 2), ask(layout, "1-3"), ask_best(layout, 2)]
        )
    assert isinstance(got[0], Granted)
    assert sum(isinstance(answer, Granted) for answer in got) == 3
    assert len(await holders(db, layout)) >= 5


async def test_the_same_request_again_is_the_same_hold_though_nothing_is_left(db):
    layout, hold_id = await make_show(db, 1, 4), uuid7()
    async with choosing_lane(db, layout) as lane:
        first, twice = await answers([lane], [ask_best(layout, 4, hold_id) for _ in range(2)])
        (again,) = await answers([lane], [ask_best(layout, 4, hold_id)])
        (other,) = await answers([lane], [ask_best(layout, 3, hold_id)])
    assert isinstance(first, Granted)
    for answer in (twice, again):
        assert isinstance(answer, Granted)
        assert (answer.repeated, answer.seats) == (True, first.seats)
    assert other == Refused("other")


async def test_who_is_cancelled_keeps_no_seats(db):
    layout = await make_show(db, 1, 2)
    async with choosing_lane(db, layout) as lane:
        gone = [ask_best(layout, 2) for _ in range(3)]
        for request in gone[1:]:
            request.future.cancel()
        got = await answers([lane], gone[:1])
        assert isinstance(got[0], Granted)
        late = ask_best(layout, 1)
        lane.join(late)
        await asyncio.sleep(0)
        late.future.cancel()
        assert (await answers([lane], [ask_best(layout, 1)])) == [Refused("apart", most=0)]


async def test_the_best_over_http(theatre):
    show = await theatre.show(seating=plan(2, 10))
    zone = show["price_zones"][0]["zone_id"]
    path = f"/shows/{show['show_id']}/holds"

    async def best(role: Role | None = None, **wanted: object):
        return await theatre.call("POST", path, {"hold_id": str(uuid7()), "best": wanted}, role=role)

    held = await best(quantity=3, zone=zone)
    assert held.status == 201, held.body
    assert [seat["seat"] for seat in held.body["seats"]] == ["1-4", "1-5", "1-6"]
    assert (await theatre.seats(show))["1-5"] == "held"
    too_many = await best(quantity=11)
    assert (too_many.status, too_many.body["type"], too_many.body["most"]) == (409, "/problems/not-together", 10)
    wrong: list[dict[str, object]] = [
        {},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": True},
        {"quantity": "2"},
        {"quantity": 51},
        {"quantity": 2**40},
        {"quantity": 1, "zone": str(uuid4())},
        {"quantity": 1, "zone": "x"},
        {"quantity": 1, "fare": "child"},
        {"quantity": 1, "accessible": True},
        {"quantity": 1, "row": 1},
    ]
    for wanted in wrong:
        assert (await best(**wanted)).status == 422, wanted
    for body in ({"best": 5}, {"best": {"quantity": 1}, "seats": ["1-1"]}):
        answer = await theatre.call("POST", path, {"hold_id": str(uuid7()), **body}, role=None)
        assert answer.status == 422, body
