"""Shows over HTTP: created, priced, put on sale, stopped, and looked at (TKT-7..17, TKT-25)."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from contracts.accounts import Role
from tests.ticketing.plans import plan, two_categories
from tests.ticketing.theatre import SHOW_TIME


def seen(version: int) -> dict[str, str]:
    return {"If-Match": f'"v{version}"'}


def uah(minor: int) -> dict[str, object]:
    return {"minor": minor, "currency": "UAH"}


@pytest.mark.shows("TKT-7", "TKT-8", "TKT-9", "TKT-14")
async def test_a_show_is_created_priced_and_put_on_sale(theatre):
    show = await theatre.show(seating=two_categories(), on_sale=False, price_zones=[])
    path = f"/shows/{show['show_id']}"
    assert show["status"] == "draft"
    assert (await theatre.call("GET", path, role=None)).status == 404
    assert (await theatre.call("GET", f"{path}/seats", role=None)).status == 404
    refused = await theatre.call("POST", f"{path}/start-sale")
    assert (refused.status, refused.body["type"]) == (422, "/problems/price-zones-refused")

    zones = [
        {"name": "Партер", "price": uah(40_000), "categories": ["Партер"]},
        {"name": "VIP", "price": uah(90_000), "seats": ["1-1", "1-2"]},
    ]
    priced = await theatre.call("PUT", f"{path}/price-zones", {"price_zones": zones}, headers=seen(1))
    assert priced.status == 200, priced.body
    assert {zone["name"]: zone["seat_count"] for zone in priced.body["price_zones"]} == {"Партер": 18, "VIP": 2}
    early = await theatre.hold(show, "1-1")
    assert (early.status, early.body["type"]) == (409, "/problems/show-not-on-sale")

    started = await theatre.call("POST", f"{path}/start-sale")
    assert started.body["status"] == "on_sale"
    seats = await theatre.seats(show)
    assert len(seats) == 30
    assert [state for state in seats.values() if state == "free"] == ["free"] * 20
    assert seats["b1-1"] == "blocked"
    hold = await theatre.hold(show, "1-1", "2-1")
    assert [seat["price"]["minor"] for seat in hold.body["seats"]] == [90_000, 40_000]


@pytest.mark.shows("TKT-11")
async def test_selected_seats_get_a_price_and_join_its_zone(theatre):
    show = await theatre.show(on_sale=False, price_zones=[])
    path = f"/shows/{show['show_id']}/price-zones/assign"
    first = await theatre.call("POST", path, {"seats": ["1-1", "1-2"], "price": uah(30_000)}, headers=seen(1))
    assert [(z["price"]["minor"], z["seats"]) for z in first.body["price_zones"]] == [(30_000, ["1-1", "1-2"])]
    second = await theatre.call("POST", path, {"seats": ["1-3"], "price": uah(30_000)}, headers=seen(2))
    assert [(z["zone_id"], z["seat_count"]) for z in second.body["price_zones"]] == [
        (first.body["price_zones"][0]["zone_id"], 3)
    ]
    stale = await theatre.call("POST", path, {"seats": ["1-1"], "price": uah(10_000)}, headers=seen(2))
    assert stale.status == 412
    named = {"seats": ["1-1"], "price": uah(50_000), "name": "Ложа"}
    third = await theatre.call("POST", path, named, headers=seen(3))
    assert {z["name"]: z["seats"] for z in third.body["price_zones"]} == {
        first.body["price_zones"][0]["name"]: ["1-2", "1-3"],
        "Ложа": ["1-1"],
    }


async def test_categories_are_priced_as_the_plan_writes_them(theatre):
    """pretix lets a category have any name: blank, with blanks around it, long."""
    names = ["", " VIP ", "VIP", "ł" * 900]
    seating = plan(1, 4)
    seating["categories"] = [{"name": name} for name in names]
    for seat, name in zip(seating["zones"][0]["rows"][0]["seats"], names, strict=True):
        seat["category"] = name
    hall = await theatre.hall(seating)
    zones = [
        {"name": f"Zone {number}", "categories": [name], "price": {"minor": 100 + number, "currency": "UAH"}}
        for number, name in enumerate(names)
    ]
    body = {"hall_id": hall["hall_id"], "name": "Show", "starts_at": SHOW_TIME.isoformat(), "currency": "UAH"}
    answer = await theatre.call("POST", "/shows", {**body, "price_zones": zones})
    assert answer.status == 201, answer.body
    assert [(zone["categories"], zone["seat_count"]) for zone in answer.body["price_zones"]] == [
        ([name], 1) for name in names
    ]


async def test_price_zones_that_do_not_fit_are_refused(theatre):
    show = await theatre.show(on_sale=False)
    path = f"/shows/{show['show_id']}/price-zones"
    cases = [
        ([{"name": "A", "price": uah(1), "categories": ["Ложа"]}], "'Ложа' are not categories"),
        ([{"name": "A", "price": uah(1), "seats": ["9-9"]}], "'9-9' are not seats"),
        ([{"name": n, "price": uah(1), "seats": ["1-1"]} for n in "AB"], "more than one price zone"),
        ([{"name": "A", "price": uah(1), "seats": [s]} for s in ("1-1", "1-2")], "same name"),
        ([{"name": "A", "price": {"minor": 1, "currency": "PLN"}, "seats": ["1-1"]}], "the show in UAH"),
    ]
    for zones, said in cases:
        answer = await theatre.call("PUT", path, {"price_zones": zones}, headers=seen(1))
        assert answer.status == 422
        assert said in answer.body["detail"]


async def test_a_stale_edit_never_overwrites(theatre):
    show = await theatre.show(on_sale=False)
    path = f"/shows/{show['show_id']}"
    assert (await theatre.call("PATCH", path, {"name": "A"})).status == 428
    first = await theatre.call("PATCH", path, {"name": "A"}, headers={"If-Match": '"v1"'})
    assert (first.status, first.headers["ETag"], first.body["name"]) == (200, '"v2"', "A")
    stale = await theatre.call("PATCH", path, {"name": "B"}, headers={"If-Match": '"v1"'})
    assert (stale.status, stale.headers["ETag"]) == (412, '"v2"')
    zones = await theatre.call("PUT", f"{path}/price-zones", {"price_zones": []}, headers={"If-Match": '"v1"'})
    assert zones.status == 412
    unseen = [
        await theatre.call("PUT", f"{path}/price-zones", {"price_zones": []}),
        await theatre.call("POST", f"{path}/price-zones/assign", {"seats": ["1-1"], "price": uah(1)}),
    ]
    assert [answer.status for answer in unseen] == [428, 428]


@pytest.mark.shows("TKT-25")
async def test_stop_sale_makes_purchase_unavailable(theatre):
    show = await theatre.show()
    assert (await theatre.hold(show, "1-1")).status == 201
    stopped = await theatre.call("POST", f"/shows/{show['show_id']}/stop-sale")
    assert stopped.body["status"] == "sales_stopped"
    refused = await theatre.hold(show, "1-2")
    assert (refused.status, refused.body["type"]) == (409, "/problems/show-not-on-sale")
    await theatre.call("POST", f"/shows/{show['show_id']}/start-sale")
    assert (await theatre.hold(show, "1-2")).status == 201


async def test_a_new_price_holds_from_now_on_and_not_for_holds_that_exist(theatre):
    show = await theatre.show(price=20_000)
    old = await theatre.hold(show, "1-1")
    zones = [{"name": "Партер", "price": uah(35_000), "categories": ["Партер"]}]
    await theatre.call("PUT", f"/shows/{show['show_id']}/price-zones", {"price_zones": zones}, headers=seen(2))
    new = await theatre.hold(show, "1-2")
    assert new.body["total"]["minor"] == 35_000
    again = await theatre.hold(show, "1-1", hold_id=old.body["hold_id"])
    assert (again.status, again.body["total"]["minor"]) == (200, 20_000)


@pytest.mark.shows("TKT-16")
async def test_the_repertoire_is_filtered_by_date(theatre):
    hall = await theatre.hall()
    ids = []
    for day in range(5):
        body = {
            "hall_id": hall["hall_id"],
            "name": f"День {day}",
            "starts_at": (SHOW_TIME + timedelta(days=day)).isoformat(),
            "currency": "UAH",
            "price_zones": [{"name": "П", "price": uah(1), "categories": ["Партер"]}],
        }
        ids.append((await theatre.call("POST", "/shows", body)).body["show_id"])
    for show_id in ids[:4]:
        await theatre.call("POST", f"/shows/{show_id}/start-sale")

    async def found(query: str, role: Role | None = None) -> list[str]:
        answer = await theatre.call("GET", f"/shows?organisation={theatre.organisation}{query}", role=role)
        return [item["show_id"] for item in answer.body["items"]]

    day = (SHOW_TIME + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    later = (SHOW_TIME + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await found("") == ids[:4]
    assert await found("", role=Role.TICKET_DESK) == ids
    assert await found(f"&from={day}&to={later}") == ids[1:3]
    page = await theatre.call("GET", f"/shows?organisation={theatre.organisation}&limit=3", role=None)
    assert await found(f"&cursor={page.body['next']}") == ids[3:4]


async def test_statistics_of_a_show(theatre):
    show = await theatre.show()
    bought = (await theatre.hold(show, "1-1", "1-2")).body
    await theatre.hold(show, "1-3")
    released = (await theatre.hold(show, "1-4")).body
    await theatre.call("DELETE", f"/holds/{released['hold_id']}", role=None, headers={"Hold-Token": released["token"]})
    await theatre.tell(theatre.order(bought).paid())
    await theatre.tickets(bought["hold_id"], 2)
    path = f"/shows/{show['show_id']}/statistics"
    answer = await theatre.call("GET", path)
    assert answer.body["seats"] == {"capacity": 20, "for_sale": 20, "free": 17, "held": 1, "sold": 2}
    assert answer.body["tickets"] == {"issued": 2, "voided": 0, "sold": uah(50_000), "returned": uah(0)}
    assert {state: count["holds"] for state, count in answer.body["bookings"].items()} == {
        "active": 1, "released": 1, "annulled": 0, "expired": 0, "converted": 1,
    }  # fmt: skip
    before = await theatre.call("GET", f"{path}?to=2020-01-01T00:00:00Z")
    assert before.body["tickets"]["issued"] == 0


async def test_the_seats_of_a_whole_hall_come_with_an_etag(theatre):
    show = await theatre.show(seating=plan(100, 160))
    path = f"/shows/{show['show_id']}/seats"
    first = await theatre.call("GET", path, role=None)
    assert len(first.body["seats"]) == 16_000
    tag = first.headers["ETag"]
    assert (await theatre.call("GET", path, role=None, headers={"If-None-Match": tag})).status == 304
    await theatre.hold(show, "7-7")
    second = await theatre.call("GET", path, role=None, headers={"If-None-Match": tag})
    assert second.status == 200
    assert second.body["version"] > first.body["version"]
    assert [seat for seat, state in second.body["seats"].items() if state != "free"] == ["7-7"]
    compact = await theatre.call("GET", f"{path}?format=compact", role=None)
    assert compact.body["states"].count("f") == 15_999
    assert compact.body["states"][6 * 160 + 6] == "h"


async def test_another_organisation_changes_nothing(theatre, tokens):
    show = await theatre.show(on_sale=False)
    path = f"/shows/{show['show_id']}"
    stranger = tokens.staff(uuid4(), Role.ORGANIZER)
    calls = [
        ("PATCH", path, {"name": "X"}),
        ("PUT", f"{path}/price-zones", {"price_zones": []}),
        ("POST", f"{path}/start-sale", None),
        ("POST", f"{path}/stop-sale", None),
        ("GET", f"{path}/statistics", None),
        ("GET", path, None),
        ("GET", f"{path}/seats", None),
    ]
    for method, where, body in calls:
        answer = await theatre.call(method, where, body, token=stranger, headers={"If-Match": '"v1"'})
        assert answer.status == 404, (method, where, answer.body)
    create = {"hall_id": show["hall_id"], "name": "X", "starts_at": SHOW_TIME.isoformat(), "currency": "UAH"}
    assert (await theatre.call("POST", "/shows", create, token=stranger)).status == 404
