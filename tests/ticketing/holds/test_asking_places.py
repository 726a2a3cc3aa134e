"""Places as buyers and the desk ask for them: at fares, in part let go, kept until the show (TKT-15, TKT-21)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from sqlalchemy import text
from uuid_utils.compat import uuid7

from contracts.accounts import Role
from contracts.ticketing import HoldReleased, PlacesOf
from services.ticketing.errors import HoldOrdered
from services.ticketing.holds.commands import release_some
from services.ticketing.holds.requests import Refused
from tests.harness import eventually
from tests.ticketing.holds.crowd import answers, ask, board_of, make_show, open_lane
from tests.ticketing.tickets.box import Box

FARES = [
    {"fare": "adult", "name": "Дорослий", "price": {"minor": 10_000, "currency": "UAH"}},
    {"fare": "child", "name": "Дитячий", "price": {"minor": 5_000, "currency": "UAH"}},
]


async def floor(theatre: Any, capacity: int = 5) -> tuple[dict[str, Any], str]:
    """A show with rows of the stalls at one price, and a floor with two fares."""
    zones = [
        {"name": "Партер", "price": {"minor": 20_000, "currency": "UAH"}, "categories": ["Партер"]},
        {"name": "Танцпол", "fares": FARES, "areas": [{"name": "Стоячі", "capacity": capacity}]},
    ]
    show = await theatre.show(price_zones=zones)
    return show, show["price_zones"][1]["areas"][0]["area_id"]


async def left_of(theatre: Any, show: dict[str, Any]) -> int:
    seats = await theatre.call("GET", f"/shows/{show['show_id']}/seats", role=None)
    return seats.body["areas"][0]["left"]


async def test_seats_and_places_are_held_together_at_the_fares_that_are_chosen(theatre):
    show, area = await floor(theatre)
    items: list[dict[str, Any]] = [
        {"item": area, "fare": "child", "quantity": 2},
        {"item": "1-1"},
        {"item": area, "quantity": 1},
    ]
    hold_id = uuid7()
    hold = await theatre.hold_items(show, *items, hold_id=hold_id)
    assert hold.status == 201, hold.body
    assert [(p["fare"], p["fare_name"], p["quantity"]) for p in hold.body["places"]] == [
        ("adult", "Дорослий", 1),
        ("child", "Дитячий", 2),
    ]
    assert hold.body["total"]["minor"] == 20_000 + 2 * 5_000 + 10_000
    assert await left_of(theatre, show) == 2
    # The same in another order is the same hold; anything else is another.
    assert (await theatre.hold_items(show, *reversed(items), hold_id=hold_id)).status == 200
    for other in ([*items[:2]], [{**items[0], "quantity": 1}, *items[1:]], [{**items[0], "fare": "adult"}, items[1]]):
        answer = await theatre.hold_items(show, *other, hold_id=hold_id)
        assert (answer.status, answer.body["type"]) == (409, "/problems/hold-id-used")
    short = await theatre.hold_items(show, {"item": area, "quantity": 3})
    assert (short.status, short.body["type"]) == (409, "/problems/places-taken")
    assert short.body["areas"] == [{"area_id": area, "left": 2}]
    token = {"Hold-Token": hold.body["token"]}
    read = (await theatre.call("GET", f"/holds/{hold_id}", role=None, headers=token)).body
    assert read["places"] == hold.body["places"]
    assert (await theatre.call("DELETE", f"/holds/{hold_id}", role=None, headers=token)).status == 204

    async def back() -> bool:
        return await left_of(theatre, show) == 5

    await eventually(back)
    statistics = (await theatre.call("GET", f"/shows/{show['show_id']}/statistics")).body
    assert statistics["areas"] == [{"area_id": area, "name": "Стоячі", "capacity": 5, "left": 5}]


async def test_items_that_make_no_sense_are_refused(theatre):
    show, area = await floor(theatre)
    _, elsewhere = await floor(theatre)
    cases: list[tuple[list[Any], int]] = [
        ([{"item": area, "quantity": 0}], 422),
        ([{"item": area, "quantity": -1}], 422),
        ([{"item": area, "quantity": True}], 422),
        ([{"item": area, "quantity": 1.5}], 422),
        ([{"item": area, "quantity": "1"}], 422),
        ([{"item": area, "quantity": 2**63 - 1}], 422),
        ([{"item": area, "quantity": 51}], 422),
        ([{"item": area}, {"item": area}], 422),
        ([{"item": "1-1"}, {"item": "1-1"}], 422),
        ([{"item": "1-1", "quantity": 2}], 422),
        ([{"item": area, "fare": "full"}], 422),
        ([{"item": "1-1", "fare": "child"}], 422),
        ([{"item": area, "fare": 5}], 422),
        ([{"item": elsewhere}], 422),
        ([{"item": area.upper()}], 422),
        ([{"item": str(uuid4())}], 422),
        ([{"item": None}], 422),
        ([{"item": area, "price": 1}], 422),
        ([area], 422),
        ([], 422),
    ]
    for items, status in cases:
        answer = await theatre.hold_items(show, *items)
        assert answer.status == status, (items, answer.body)
    both = await theatre.hold_items(show, {"item": area}, body={"seats": ["1-1"]})
    assert both.status == 422
    assert await left_of(theatre, show) == 5


async def test_the_desk_says_for_whom_and_where_and_a_buyer_does_not(theatre):
    show, area = await floor(theatre)
    for said in ({"channel": "reserve"}, {"name": "Школа № 5"}, {"note": "oплата завтра"}):
        refused = await theatre.hold_items(show, {"item": area}, body=said)
        assert (refused.status, refused.body["type"]) == (403, "/problems/not-your-hold")
    for wrong in ({"channel": "moon"}, {"name": ""}, {"name": "A\x1eB"}, {"note": "x" * 2001}, {"note": 5}):
        refused = await theatre.hold_items(show, {"item": area}, body=wrong, role=Role.TICKET_DESK)
        assert refused.status == 422, (wrong, refused.body)
    said = {"channel": "reserve", "name": "Школа № 5", "note": "Оплата завтра"}
    held = await theatre.hold_items(show, {"item": area}, body=said, role=Role.TICKET_DESK)
    assert (held.status, held.body["channel"]) == (201, "reserve")
    path = f"/holds/{held.body['hold_id']}"
    read = (await theatre.call("GET", path, role=Role.TICKET_DESK)).body
    assert {key: read[key] for key in said} == said
    assert read["clerk_id"] is not None
    seen = await theatre.call("GET", path, role=None, headers={"Hold-Token": held.body["token"]})
    assert (seen.body["name"], seen.body["note"], seen.body["clerk_id"]) == (None, None, None)
    at_desk = await theatre.hold_items(show, {"item": area}, role=Role.TICKET_DESK)
    on_site = await theatre.hold_items(show, {"item": area})
    assert (at_desk.body["channel"], on_site.body["channel"]) == ("desk", "site")
    statistics = (await theatre.call("GET", f"/shows/{show['show_id']}/statistics")).body
    assert {name: of["held"] for name, of in statistics["channels"].items()} == {"desk": 1, "reserve": 1, "site": 1}


async def test_an_area_cannot_become_smaller_than_what_is_held(theatre):
    show, area = await floor(theatre)
    await theatre.hold_items(show, {"item": area, "quantity": 3})
    zones = [{"name": "Танцпол", "fares": FARES, "areas": [{"area_id": area, "name": "Стоячі", "capacity": 2}]}]
    for areas in (zones[0]["areas"], []):
        refused = await theatre.call(
            "PUT",
            f"/shows/{show['show_id']}/price-zones",
            {"price_zones": [{**zones[0], "areas": areas}]},
            headers={"If-Match": '"v2"'},
        )
        assert (refused.status, refused.body["taken"]) == (422, 3)


async def test_a_board_that_knows_an_old_layout_takes_no_area_that_is_gone(db):
    layout = await make_show(db, areas=[5])
    board = board_of(db)
    async with db.as_worker() as session:
        await session.execute(text("DELETE FROM area WHERE show_id = :show"), {"show": layout.show_id})
        await session.execute(text("UPDATE show SET version = 2 WHERE id = :show"), {"show": layout.show_id})
    async with open_lane(db) as lane:
        assert await answers([lane], [ask(layout, (0, 1))]) == [Refused("stale")]
    assert not (await board.get(layout.show_id)).areas


async def test_some_of_a_hold_are_let_go(theatre):
    show, area = await floor(theatre)
    items = [{"item": area, "fare": "child", "quantity": 3}, {"item": "1-1"}, {"item": "1-2"}]
    hold = (await theatre.hold_items(show, *items)).body
    path, token = f"/holds/{hold['hold_id']}/release", {"Hold-Token": hold["token"]}
    assert (await theatre.call("POST", path, {"seats": ["1-1"]}, role=None)).status == 401

    async def release(**what: Any) -> Any:
        return await theatre.call("POST", path, what, role=None, headers=token)

    left = await release(seats=["1-1", "9-9"], places=[{"area": area, "fare": "child", "quantity": 2}])
    assert left.status == 200, left.body
    assert [seat["seat"] for seat in left.body["seats"]] == ["1-2"]
    assert [(each["fare"], each["quantity"]) for each in left.body["places"]] == [("child", 1)]
    assert left.body["total"]["minor"] == 20_000 + 5_000
    claims = jwt.decode(left.body["quote"], options={"verify_signature": False})
    assert (claims["seats"], claims["places"], claims["total"]) == (left.body["seats"], left.body["places"], 25_000)

    async def free() -> bool:
        seats = await theatre.seats(show)
        return (seats["1-1"], seats["1-2"], await left_of(theatre, show)) == ("free", "held", 4)

    await eventually(free)
    # What it has not, and nothing, changes nothing; a place at another fare is another.
    for what in ({}, {"seats": ["1-1"]}, {"places": [{"area": area, "fare": "adult"}]}):
        same = await release(**what)
        assert same.body["total"]["minor"] == 25_000
    last = await release(seats=["1-2"], places=[{"area": area, "fare": "child", "quantity": 7}])
    assert last.status == 204
    assert (await release(seats=["1-2"])).status == 409
    read = await theatre.call("GET", f"/holds/{hold['hold_id']}", role=Role.TICKET_DESK)
    assert read.body["status"] == "released"


async def test_what_is_left_of_a_hold_becomes_tickets(db):
    layout = await make_show(db, areas=[10])
    area = next(iter(layout.areas))
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        order = await box.hold("1-1", "1-2", (0, 5))
        async with db.as_worker() as session:
            given_up = [PlacesOf(area=area, quantity=2)] * 2
            await release_some(session, UUID(order.hold["hold_id"]), None, ["1-1"], given_up)
        (released,) = await box.said(order, HoldReleased)
        assert (released.seats, released.remaining) == (("1-1",), 2)
        assert [each.quantity for each in released.places] == [4]
        assert await box.counted() == [{"taken": 1, "has": 1, "sold": 0, "tickets": 0}]
        order.hold["seats"] = order.hold["seats"][1:]
        order.hold["places"][0]["quantity"] = 1
        await box.hear(order.placed())
        with pytest.raises(HoldOrdered):
            async with db.as_worker() as session:
                await release_some(session, UUID(order.hold["hold_id"]), None, ["1-2"], [])
        await box.hear(order.paid())
        assert await box.counted() == [{"taken": 1, "has": 1, "sold": 1, "tickets": 1}]


async def test_the_desk_keeps_seats_until_the_show_begins_and_no_longer(theatre):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1", role=Role.TICKET_DESK)).body
    path = f"/holds/{hold['hold_id']}/extend"
    begins = datetime.fromisoformat(show["starts_at"])
    for until in (begins - timedelta(hours=2), begins + timedelta(days=3)):
        longer = await theatre.call("POST", path, {"until": until.isoformat()}, role=Role.TICKET_DESK)
        assert longer.status == 200, longer.body
        assert datetime.fromisoformat(longer.body["expires_at"]) == min(until, begins)
    buyers = await theatre.call(
        "POST", path, {"until": begins.isoformat()}, role=None, headers={"Hold-Token": hold["token"]}
    )
    assert buyers.status == 403
    for wrong in ({}, {"until": begins.isoformat(), "minutes": 5}, {"until": "1999-01-01T00:00:00Z"}):
        assert (await theatre.call("POST", path, wrong, role=Role.TICKET_DESK)).status == 422
