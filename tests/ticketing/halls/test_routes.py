"""Halls over HTTP: what a person who brings a plan sees (TKT-6)."""

from __future__ import annotations

import copy
from uuid import uuid4

import pytest

from contracts.accounts import Role
from services.ticketing.halls.workshop import Workshop
from tests.events import organisation_registered
from tests.harness import eventually
from tests.ticketing.plans import plan, two_categories
from tests.ticketing.theatre import SHOW_TIME


async def test_a_plan_is_imported_and_exported_as_it_was(theatre):
    seating = two_categories()
    hall = await theatre.hall(seating)
    assert hall["seats"] == 30
    assert hall["categories"] == [
        {"name": "Партер", "color": "#8c1c30", "seats": 20},
        {"name": "Balkon Łoża", "color": "#8c1c30", "seats": 10},
    ]
    exported = await theatre.call("GET", f"/halls/{hall['hall_id']}/plan")
    assert exported.body == seating
    listed = await theatre.call("GET", "/halls")
    assert [item["hall_id"] for item in listed.body["items"]] == [hall["hall_id"]]
    read = await theatre.call("GET", f"/halls/{hall['hall_id']}")
    assert read.body["categories"] == hall["categories"]


async def test_duplicate_ids_are_refused_by_name(theatre):
    seating = plan(1, 3)
    seating["zones"][0]["rows"][0]["seats"][2]["seat_guid"] = "1-1"
    answer = await theatre.call("POST", "/halls", {"plan": seating})
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body["type"] == "/problems/seating-plan-refused"
    assert "'1-1' (2 times)" in answer.body["detail"]
    assert answer.body["duplicates"] == [
        {"seat_guid": "1-1", "places": ["zone 'Партер' row '1' seat '1'", "zone 'Партер' row '1' seat '3'"]}
    ]


@pytest.mark.parametrize("rows", [1, 100], ids=["small", "large"])
async def test_seats_that_print_one_place_are_named_at_import_and_at_the_start_of_sale(theatre, rows):
    """Drawn twice, with ids of their own: two people would be sent to one chair."""
    await theatre.tell(organisation_registered(theatre.organisation, locale="uk"))
    seating = plan(rows, 7, zone="Сектор 2")
    copied = copy.deepcopy(seating["zones"][0]["rows"][0]["seats"][-1])
    copied |= {"seat_guid": "copy", "seat_number": " 7"}
    seating["zones"][0]["rows"].append({"row_number": "1", "seats": [copied]})
    imported = await theatre.call("POST", "/halls", {"plan": seating})
    assert imported.status == 201
    assert [same["seats"] for same in imported.body["printed_twice"]] == [["1-7", "copy"]]

    async def heard() -> bool:
        again = (await theatre.call("POST", "/halls", {"plan": seating})).body
        return again["printed_twice"][0]["place"] == "Сектор 2, ряд 1, місце 7"

    await eventually(heard)
    show = await theatre.show(seating=seating, on_sale=False)
    started = await theatre.call("POST", f"/shows/{show['show_id']}/start-sale")
    assert started.status == 200
    assert started.body["printed_twice"] == [{"place": "Сектор 2, ряд 1, місце 7", "seats": ["1-7", "copy"]}]


async def test_the_start_of_sale_names_only_what_is_for_sale(theatre):
    seating = plan(1, 7)
    seating["categories"].append({"name": "Технічні"})
    seating["zones"][0]["rows"][0]["seats"].append(
        {"seat_guid": "copy", "seat_number": "7", "category": "Технічні", "position": {"x": 0, "y": 0}}
    )
    hall = await theatre.hall(seating)
    assert [same["seats"] for same in hall["printed_twice"]] == [["1-7", "copy"]]
    body = {
        "hall_id": hall["hall_id"],
        "name": "S",
        "starts_at": SHOW_TIME.isoformat(),
        "currency": "UAH",
        "price_zones": [{"name": "A", "price": {"minor": 1, "currency": "UAH"}, "categories": ["Партер"]}],
    }
    show = (await theatre.call("POST", "/shows", body)).body
    started = await theatre.call("POST", f"/shows/{show['show_id']}/start-sale")
    assert started.body["printed_twice"] == []


async def test_a_plan_of_many_doubles_names_the_first(theatre):
    seating = plan(60, 1)
    for row in seating["zones"][0]["rows"]:
        row["seats"].append({**row["seats"][0], "seat_guid": f"copy-{row['row_number']}"})
    hall = await theatre.hall(seating)
    assert (len(hall["printed_twice"]), hall["more_printed_twice"]) == (50, 10)


async def test_a_large_plan_is_read_in_another_process(theatre, monkeypatch):
    """Checked when it comes, and read when its seats are sold and counted: people are buying meanwhile."""
    done: list[str] = []
    run = Workshop.run

    async def noted(self, work, *arguments):
        done.append(work.__name__)
        return await run(self, work, *arguments)

    monkeypatch.setattr(Workshop, "run", noted)
    show = await theatre.show(seating=plan(20, 50))
    assert set(await theatre.seats(show)) == {f"{row}-{seat}" for row in range(1, 21) for seat in range(1, 51)}
    hall = await theatre.call("GET", f"/halls/{show['hall_id']}")
    assert hall.body["categories"][0]["seats"] == 1000
    assert done == ["check", "packed", "categories"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "JSON decode error"),
        (b'{"plan": {"name": "\\ud800"}}', "JSON decode error"),
        (b"[]", "body"),
        (b'{"name": "Hall"}', "body.plan: Field required"),
        (b'{"plan": [1]}', "body.plan: Input should be a valid dictionary"),
        (b'{"plan": {}, "seats": 3}', "body.seats: Extra inputs are not permitted"),
    ],
)
async def test_what_is_no_import_is_refused_in_words(theatre, body, said):
    answer = await theatre.call("POST", "/halls", body)
    assert answer.status == 422, answer.body
    assert said in answer.body["detail"]


async def test_only_organisers_import(theatre):
    for role, status in ((Role.TICKET_DESK, 403), (None, 401), (Role.ORGANIZER, 201)):
        answer = await theatre.call("POST", "/halls", {"plan": plan()}, role=role)
        assert answer.status == status, answer.body


async def test_another_organisation_sees_no_hall(theatre, tokens):
    hall = await theatre.hall()
    stranger = tokens.staff(uuid4(), Role.ORGANIZER)
    for path in (f"/halls/{hall['hall_id']}", f"/halls/{hall['hall_id']}/plan"):
        assert (await theatre.call("GET", path, token=stranger)).status == 404
    assert (await theatre.call("GET", "/halls", token=stranger)).body["items"] == []
