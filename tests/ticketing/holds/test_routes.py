"""Holds over HTTP (TKT-15, TKT-18..21)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from uuid_utils.compat import uuid7

from chassis.tail import Tail
from contracts.accounts import Role
from contracts.envelope import Event
from contracts.ticketing import HoldExtended
from tests.harness import eventually
from tests.ticketing.plans import plan


async def test_seats_are_held_for_a_while(theatre):
    show = await theatre.show(price=30_000)
    hold = await theatre.hold(show, "1-2", "1-1")
    assert hold.status == 201, hold.body
    assert [seat["seat"] for seat in hold.body["seats"]] == ["1-1", "1-2"]
    assert hold.body["seats"][0]["label"] == "Партер, row 1, seat 1"
    assert hold.body["total"] == {"minor": 60_000, "currency": "UAH"}
    seconds = (datetime.fromisoformat(hold.body["expires_at"]) - datetime.now(UTC)).total_seconds()
    assert 50 < seconds <= 60.5
    assert {s: t for s, t in (await theatre.seats(show)).items() if t != "free"} == {"1-1": "held", "1-2": "held"}

    other = await theatre.hold(show, "1-2", "1-3")
    assert (other.status, other.body["type"], other.body["seats"]) == (409, "/problems/seats-taken", ["1-2"])
    assert "row 1, seat 2" in other.body["detail"]
    assert (await theatre.seats(show))["1-3"] == "free"


async def test_the_quote_is_signed_for_checkout(theatre):
    show = await theatre.show(price=30_000, invoice_allowed=True)
    hold = (await theatre.hold(show, "1-1")).body
    keys = (await theatre.call("GET", "/.well-known/jwks.json", role=None)).body
    key = jwt.PyJWK(keys["keys"][0], algorithm="EdDSA")
    claims = jwt.decode(hold["quote"], key, algorithms=["EdDSA"], audience="quote", issuer="footlights-ticketing")
    assert claims["hold_id"] == hold["hold_id"]
    assert claims["show_id"] == show["show_id"]
    assert claims["org"] == str(theatre.organisation)
    assert claims["show"]["name"] == show["name"]
    assert claims["seats"] == hold["seats"]
    assert claims["seats"][0]["price"]["minor"] == claims["total"] == 30_000
    assert (claims["currency"], claims["invoice"]) == ("UAH", True)
    assert claims["hold_until"] == claims["exp"] or abs(claims["hold_until"] - claims["exp"]) <= 1


async def test_the_same_hold_asked_twice_is_one_hold(theatre):
    show = await theatre.show()
    hold_id = uuid7()
    answers = await asyncio.gather(*(theatre.hold(show, "1-1", hold_id=hold_id) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.body["expires_at"] for answer in answers}) == 1
    other = await theatre.hold(show, "1-2", hold_id=hold_id)
    assert (other.status, other.body["type"]) == (409, "/problems/hold-id-used")


async def test_the_id_of_a_hold_is_no_credential(theatre):
    """Staff see it in lists, and whoever repeats a hold gets its token and its quote."""
    show, account = await theatre.show(), uuid4()
    own = theatre.tokens.buyer(account)
    here, elsewhere = (theatre.tokens.sign({"net": net}) for net in ("203.0.113.7", "198.51.100.9"))
    another, seller = theatre.tokens.buyer(), theatre.tokens.staff(theatre.organisation, Role.SALES_MANAGER)
    may = {
        "1-1": ([own], [here, another, seller]),
        "1-2": ([here], [elsewhere, another, seller]),
    }
    for seat, (theirs, others) in may.items():
        hold_id = uuid7()
        assert (await theatre.hold(show, seat, hold_id=hold_id, token=theirs[0])).status == 201
        for token in others:
            answer = await theatre.hold(show, seat, hold_id=hold_id, token=token)
            assert (answer.status, answer.body["type"]) == (409, "/problems/hold-id-used")
            assert "token" not in answer.body
            assert "quote" not in answer.body
        assert (await theatre.hold(show, seat, hold_id=hold_id, token=theirs[0])).status == 200
        assert (await theatre.hold(show, seat, hold_id=hold_id, role=Role.TICKET_DESK)).status == 200


async def test_requests_that_make_no_sense(theatre):
    show = await theatre.show()
    path = f"/shows/{show['show_id']}/holds"
    cases = [
        ({"hold_id": str(uuid7()), "seats": []}, 422),
        ({"hold_id": str(uuid7()), "seats": ["1-1", "1-1"]}, 422),
        ({"hold_id": str(uuid7()), "seats": ["99-99"]}, 422),
        ({"hold_id": str(uuid7()), "seats": "1-1"}, 422),
        ({"hold_id": str(uuid7()), "seats": [1]}, 422),
        ({"hold_id": "x", "seats": ["1-1"]}, 422),
        ({"hold_id": 5, "seats": ["1-1"]}, 422),
        ([], 422),
        ({"hold_id": str(uuid7()), "seats": ["1-1"] * 51}, 422),
    ]
    for body, status in cases:
        answer = await theatre.call("POST", path, body, role=None)
        assert answer.status == status, (body, answer.body)
    assert (await theatre.call("POST", "/shows/x/holds", cases[2][0], role=None)).status == 422
    unknown = await theatre.call("POST", f"/shows/{uuid4()}/holds", cases[2][0], role=None)
    assert (unknown.status, unknown.body["type"]) == (404, "/problems/no-such-show")


@pytest.mark.shows("TKT-20")
async def test_a_booking_is_extended_up_to_its_limit(theatre):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    path = f"/holds/{hold['hold_id']}/extend"
    assert (await theatre.call("POST", path, role=None)).status == 401
    other = (await theatre.hold(show, "1-2")).body
    assert (await theatre.call("POST", path, role=None, headers={"Hold-Token": other["token"]})).status == 403

    # Extending at once wins nothing; the ticket desk may choose for how long.
    at_once = await theatre.call("POST", path, role=None, headers={"Hold-Token": hold["token"]})
    assert (at_once.status, at_once.body["type"]) == (409, "/problems/hold-at-its-limit")
    desk = await theatre.call("POST", path, {"minutes": 120}, role=Role.TICKET_DESK)
    assert desk.status == 200, desk.body
    gained = datetime.fromisoformat(desk.body["expires_at"]) - datetime.fromisoformat(hold["expires_at"])
    assert 6_900 < gained.total_seconds() < 7_200
    assert jwt.decode(desk.body["quote"], options={"verify_signature": False})["hold_until"] == int(
        datetime.fromisoformat(desk.body["expires_at"]).timestamp()
    )
    buyer = await theatre.call("POST", path, {"minutes": 500}, role=None, headers={"Hold-Token": desk.body["token"]})
    assert buyer.status == 403


async def test_the_desk_gives_the_buyer_of_an_order_more_time(theatre):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    order = theatre.order(hold)
    pay_by = datetime.now(UTC) + timedelta(minutes=5)
    heard: list[HoldExtended] = []

    def hear(event: Event[Any]) -> None:
        if isinstance(event.data, HoldExtended) and str(event.data.hold_id) == hold["hold_id"]:
            heard.append(event.data)

    tail = Tail(theatre.kafka, ["ticketing.hold"], hear)
    listening = asyncio.create_task(tail.run())
    await tail.ready.wait()
    await theatre.tell(order.placed(pay_by))
    await eventually(lambda: heard)
    extended = await theatre.call("POST", f"/holds/{hold['hold_id']}/extend", {"minutes": 60}, role=Role.TICKET_DESK)
    assert extended.status == 200, extended.body
    await eventually(lambda: len(heard) == 2)
    listening.cancel()
    by_order, by_desk = heard
    # Ticketing's own prolongation is no wish of staff.
    assert by_order.pay_by is None
    assert by_desk.pay_by == by_desk.expires_at - timedelta(seconds=120)


async def test_a_hold_belongs_to_the_buyers_account_and_never_to_the_clerks(theatre, tokens):
    show = await theatre.show()
    account = uuid4()
    at_desk = await theatre.hold(show, "1-1", role=Role.TICKET_DESK)
    signed_in = await theatre.hold(show, "1-2", token=tokens.buyer(account))
    # Whoever works at another theatre is a buyer here.
    elsewhere = await theatre.hold(show, "1-3", token=tokens.staff(uuid4(), Role.TICKET_DESK, account=account))
    owners = []
    for hold in (at_desk, signed_in, elsewhere):
        row = await theatre.call("GET", f"/holds/{hold.body['hold_id']}", role=Role.TICKET_DESK)
        owners.append(row.body["account_id"])
    assert owners == [None, str(account), str(account)]


@pytest.mark.shows("TKT-21")
async def test_a_booking_is_annulled(theatre, tokens):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    path = f"/holds/{hold['hold_id']}"
    stranger = tokens.staff(uuid4(), Role.TICKET_DESK)
    assert (await theatre.call("DELETE", path, token=stranger)).status == 404
    assert (await theatre.call("DELETE", path, role=Role.SALES_MANAGER)).status == 403
    assert (await theatre.call("DELETE", path, role=Role.TICKET_DESK)).status == 204
    assert (await theatre.call("GET", path, role=Role.TICKET_DESK)).body["status"] == "annulled"
    await theatre.see(show, **{"1-1": "free"})
    assert (await theatre.hold(show, "1-1")).status == 201
    again = await theatre.hold(show, "1-1", hold_id=UUID(hold["hold_id"]))
    assert (again.status, again.body["type"]) == (409, "/problems/hold-ended")


async def test_the_buyer_lets_go(theatre):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    token = {"Hold-Token": hold["token"]}
    assert (await theatre.call("GET", f"/holds/{hold['hold_id']}", role=None, headers=token)).body["status"] == "active"
    for _ in range(2):
        answer = await theatre.call("DELETE", f"/holds/{hold['hold_id']}", role=None, headers=token)
        assert answer.status == 204
    await theatre.see(show, **{"1-1": "free"})


async def test_the_ticket_desk_sees_all_bookings(theatre, tokens):
    show = await theatre.show()
    holds = [(await theatre.hold(show, f"1-{seat}")).body for seat in range(1, 6)]
    path = f"/shows/{show['show_id']}/holds"
    first = await theatre.call("GET", f"{path}?limit=3", role=Role.TICKET_DESK)
    rest = await theatre.call("GET", f"{path}?limit=3&cursor={first.body['next']}", role=Role.TICKET_DESK)
    listed = [item["hold_id"] for item in first.body["items"] + rest.body["items"]]
    assert listed == [hold["hold_id"] for hold in reversed(holds)]
    one = await theatre.call("GET", f"/holds/{listed[0]}", role=Role.TICKET_DESK)
    assert one.body["seats"][0]["label"] == "Партер, row 1, seat 5"
    stranger = tokens.staff(uuid4(), Role.TICKET_DESK)
    assert (await theatre.call("GET", path, token=stranger)).body["items"] == []
    assert (await theatre.call("GET", path, role=None)).status == 401


async def test_a_hold_belongs_to_the_buyer_who_is_signed_in_and_never_to_staff(theatre, tokens):
    show, account = await theatre.show(), uuid4()
    by_buyer = await theatre.hold(show, "1-1", token=tokens.buyer(account))
    by_staff = await theatre.hold(show, "1-2", role=Role.TICKET_DESK)
    for hold, owner in ((by_buyer, str(account)), (by_staff, None)):
        read = await theatre.call("GET", f"/holds/{hold.body['hold_id']}", role=Role.TICKET_DESK)
        assert read.body["account_id"] == owner


async def test_group_orders_are_for_the_desk(theatre):
    show = await theatre.show(seating=plan(10, 30))
    seats = [f"{row}-{seat}" for row in range(1, 11) for seat in range(1, 31)]
    refused = await theatre.hold(show, *seats)
    assert (refused.status, refused.body["limit"]) == (422, 50)
    desk = await theatre.hold(show, *seats, role=Role.TICKET_DESK)
    assert desk.status == 201
    assert set((await theatre.seats(show)).values()) == {"held"}


async def test_crowds_at_the_edge(theatre):
    """64 people want one seat; 200 want 40 seats."""
    show = await theatre.show(seating=plan(1, 41))
    answers = await asyncio.gather(*(theatre.hold(show, "1-41") for _ in range(64)))
    assert sorted(a.status for a in answers).count(201) == 1
    assert {a.status for a in answers} == {201, 409}
    answers = await asyncio.gather(*(theatre.hold(show, f"1-{n % 40 + 1}") for n in range(200)))
    assert sum(a.status == 201 for a in answers) == 40
    won = [a.body["seats"][0]["seat"] for a in answers if a.status == 201]
    assert len(set(won)) == 40


@pytest.mark.shows("SET-5")
async def test_a_show_may_have_periods_of_its_own_and_seats_return_to_sale(theatre):
    show = await theatre.show(hold_seconds=1, payment_seconds=7)
    hold = (await theatre.hold(show, "1-1")).body
    assert jwt.decode(hold["quote"], options={"verify_signature": False})["payment_seconds"] == 7

    async def becomes(status: str) -> bool:
        answer = await theatre.call("GET", f"/holds/{hold['hold_id']}", role=Role.TICKET_DESK)
        return answer.body["status"] == status

    await eventually(lambda: becomes("lapsed"))
    assert (await theatre.seats(show))["1-1"] == "held"
    assert (await theatre.hold(show, "1-1")).status == 409
    await theatre.tell(theatre.order(hold).unclaimed())
    await eventually(lambda: becomes("expired"))
    await theatre.see(show, **{"1-1": "free"})
    assert (await theatre.hold(show, "1-1")).status == 201
    late = await theatre.call("POST", f"/holds/{hold['hold_id']}/extend", role=Role.TICKET_DESK)
    assert (late.status, late.body["type"]) == (409, "/problems/hold-ended")
    path = f"/shows/{show['show_id']}"
    changed = await theatre.call("PATCH", path, {"hold_seconds": 600}, headers={"If-Match": '"v2"'})
    assert changed.body["hold_seconds"] == 600
    longer = (await theatre.hold(show, "1-2")).body
    assert (datetime.fromisoformat(longer["expires_at"]) - datetime.now(UTC)).total_seconds() > 500
    removed = {"hold_seconds": None, "name": None}
    changed = await theatre.call("PATCH", path, removed, headers={"If-Match": '"v3"'})
    assert (changed.body["hold_seconds"], changed.body["payment_seconds"]) == (None, 7), "what is left out stays"
    assert changed.body["name"] == show["name"], "a name cannot be removed"
    usual = (await theatre.hold(show, "1-3")).body
    assert (datetime.fromisoformat(usual["expires_at"]) - datetime.now(UTC)).total_seconds() < 61


async def test_fifty_seats_with_long_names_are_let_go_by_a_small_token(theatre):
    show = await theatre.show(seating=plan(5, 10, zone="Партер праворуч біля самої сцени"))
    seats = [f"{row}-{seat}" for row in range(1, 6) for seat in range(1, 11)]
    hold = (await theatre.hold(show, *seats)).body
    assert len(hold["quote"]) > 15_000, "more than a head may have"
    assert len(hold["token"]) == 40
    again = (await theatre.hold(show, *seats, hold_id=UUID(hold["hold_id"]))).body
    assert again["token"] == hold["token"]
    path = f"/holds/{hold['hold_id']}"
    forged = hold["token"][:-1] + ("A" if hold["token"][-1] != "A" else "B")
    for wrong in (forged, "", "é", hold["quote"][:200]):
        assert (await theatre.call("DELETE", path, role=None, headers={"Hold-Token": wrong})).status == 403
    assert (await theatre.call("DELETE", path, role=None, headers={"Hold-Token": hold["token"]})).status == 204
