"""Halls over HTTP: what a person who brings a plan sees (TKT-6)."""

from __future__ import annotations

from uuid import uuid4

import pytest

from contracts.accounts import Role
from services.ticketing.halls.workshop import Workshop
from tests.ticketing.plans import plan, two_categories


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
