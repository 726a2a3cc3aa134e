"""Price zones with fares and areas: what stays the same under another name, and what is refused (TKT-9)."""

from __future__ import annotations

import copy
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

UAH = "UAH"


def price(minor: int) -> dict[str, object]:
    return {"minor": minor, "currency": UAH}


def zone(name: str = "Танцпол", **more: object) -> dict[str, object]:
    fares = [
        {"fare": "adult", "name": "Дорослий", "price": price(50_000)},
        {"fare": "child", "name": "Дитячий", "price": price(25_000)},
    ]
    return {"name": name, "fares": fares, "areas": [{"name": "Стоячі місця", "capacity": 300}], **more}


def sent(zones):
    """What was read, as it is sent back."""
    return [{key: value for key, value in each.items() if key != "seat_count"} for each in copy.deepcopy(zones)]


async def put(theatre, show, zones, version=1):
    path = f"/shows/{show['show_id']}/price-zones"
    return await theatre.call("PUT", path, {"price_zones": zones}, headers={"If-Match": f'"v{version}"'})


async def test_a_show_may_have_nothing_but_an_area_with_fares(theatre):
    show = await theatre.show(price_zones=[zone()])
    (read,) = show["price_zones"]
    assert (read["price"], read["seat_count"]) == (price(50_000), 0)
    assert [fare["fare"] for fare in read["fares"]] == ["adult", "child"]
    assert [(area["name"], area["capacity"]) for area in read["areas"]] == [("Стоячі місця", 300)]
    assert (await theatre.call("GET", f"/shows/{show['show_id']}", role=None)).body["price_zones"] == [read]


async def test_zones_and_areas_stay_what_they_are_under_another_name(theatre):
    show = await theatre.show(price_zones=[zone(), {"name": "Ложа", "price": price(1), "seats": ["1-1"]}])
    before = show["price_zones"]
    # By name, when no id is sent.
    same = await put(theatre, show, [zone(), {"name": "Ложа", "price": price(2), "seats": ["1-1"]}], 2)
    assert [z["zone_id"] for z in same.body["price_zones"]] == [z["zone_id"] for z in before]
    # By id, when the names are swapped; the area moves to the other zone.
    floor, box = sent(same.body["price_zones"])
    floor["name"], box["name"] = box["name"], floor["name"]
    box["areas"], floor["areas"] = floor["areas"], []
    box["areas"][0]["name"] = "Фан-зона"
    swapped = await put(theatre, show, [floor, box], 3)
    assert swapped.status == 200, swapped.body
    after = swapped.body["price_zones"]
    assert [z["zone_id"] for z in after] == [z["zone_id"] for z in before]
    assert [z["name"] for z in after] == ["Ложа", "Танцпол"]
    assert after[1]["areas"] == [{**before[0]["areas"][0], "name": "Фан-зона"}]
    # A new zone that takes the name that another had is a new one.
    floor["name"], fresh = "Партер", {"name": "Ложа", "price": price(3)}
    third = await put(theatre, show, [floor, fresh], 4)
    ids = [z["zone_id"] for z in third.body["price_zones"]]
    assert ids[0] == before[0]["zone_id"]
    assert ids[1] not in [z["zone_id"] for z in before]


@pytest.mark.parametrize(
    "change",
    [
        {"fares": [], "price": None},
        {"price": price(1)},
        {"fares": [{"fare": "A B", "name": "x", "price": price(1)}]},
        {"fares": [{"fare": "a", "name": "x", "price": price(1)}] * 2},
        {"fares": [{"fare": "a", "name": "x", "price": {"minor": 1, "currency": "EUR"}}]},
        {"areas": [{"name": "A", "capacity": 0}]},
        {"areas": [{"name": "A", "capacity": -5}]},
        {"areas": [{"name": "A", "capacity": 10**9}]},
        {"areas": [{"name": "A", "capacity": 5}] * 2},
        {"zone_id": str(uuid4())},
        {"areas": [{"area_id": str(uuid4()), "name": "A", "capacity": 5}]},
    ],
)
async def test_prices_that_make_no_sense_are_refused(theatre, change):
    show = await theatre.show(on_sale=False)
    answer = await put(theatre, show, [zone(**change)])
    assert answer.status == 422, answer.body
    create = {key: show[key] for key in ("hall_id", "name", "starts_at", "currency")}
    created = await theatre.call("POST", "/shows", {**create, "price_zones": [zone(**change)]})
    assert created.status == 422, created.body


async def test_ids_of_another_show_are_refused(theatre):
    theirs = (await theatre.show(price_zones=[zone()]))["price_zones"]
    answer = await put(theatre, await theatre.show(on_sale=False), sent(theirs))
    assert answer.status == 422
    assert theirs[0]["zone_id"] in answer.body["detail"]
    assert theirs[0]["areas"][0]["area_id"] in answer.body["detail"]


async def test_the_database_counts_no_more_than_there_is(db):
    """Whatever a program does."""
    area, show, hall = uuid4(), uuid4(), uuid4()
    write = {
        "hall": "INSERT INTO hall (id, organisation, name, plan, seats) VALUES (:hall, :hall, 'H', '{}', 0)",
        "show": "INSERT INTO show (id, organisation, hall_id, name, starts_at, currency)"
        " VALUES (:show, :hall, :hall, 'S', now(), 'UAH')",
        "area": "INSERT INTO area (id, organisation, show_id, zone_id, position, name, capacity)"
        " VALUES (:area, :hall, :show, :hall, 0, 'A', 2)",
    }
    async with db.as_worker() as session:
        for sql in write.values():
            await session.execute(text(sql), {"area": area, "show": show, "hall": hall})
    for taken in (3, -1):
        with pytest.raises(IntegrityError, match="ck_area_taken"):
            async with db.as_worker() as session:
                await session.execute(text("UPDATE area SET taken = :t WHERE id = :area"), {"t": taken, "area": area})
