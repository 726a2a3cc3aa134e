"""Shows that are over (GAP-15): nothing is sold any more, and everybody is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from contracts.envelope import decode
from contracts.ticketing import ShowChanged, ShowStatus
from services.ticketing.errors import DateIsPast, ShowClosed
from services.ticketing.shows import commands
from tests.harness import eventually
from tests.ticketing.holds.crowd import board_of, make_show
from tests.ticketing.theatre import Answer

AFTER = timedelta(hours=12)


async def test_a_show_is_finished_some_time_after_it_began(db):
    over, stopped = await make_show(db, days=-1), await make_show(db, days=-1, status="sales_stopped")
    left_alone = [
        await make_show(db),
        await make_show(db, days=-0.4),
        await make_show(db, days=-1, status="cancelled"),
        await make_show(db, days=-1, status="draft"),
    ]
    done = 1
    while done:
        async with db.as_worker() as session:
            done = await commands.finish_shows(session, board_of(db), AFTER)
    board = board_of(db)
    assert {(await board.get(show.show_id)).status for show in (over, stopped)} == {ShowStatus.FINISHED}
    for show in left_alone:
        assert (await board.get(show.show_id)).status == show.status
    async with db.as_worker() as session:
        found = text("SELECT value, headers FROM outbox WHERE key = :key")
        row = (await session.execute(found, {"key": str(over.show_id).encode()})).one()
    told = decode([(name, value.encode()) for name, value in row.headers], bytes(row.value))
    assert isinstance(told.data, ShowChanged)
    assert (told.data.status, told.aggregate_version) == (ShowStatus.FINISHED, over.version + 1)


async def test_a_show_that_has_begun_sells_nothing_at_the_edge(theatre):
    show = await theatre.show()
    soon = {"starts_at": (datetime.now(UTC) + timedelta(seconds=1)).isoformat(), "confirm": True}
    path = f"/shows/{show['show_id']}"
    assert (await theatre.call("PATCH", path, soon, headers={"If-Match": '"v2"'})).status == 200

    async def begun() -> bool:
        answer = await theatre.hold(show, "1-1")
        refused = (answer.status, answer.body.get("type")) == (409, "/problems/show-not-on-sale")
        return refused and "has begun" in answer.body["detail"]

    await eventually(begun)
    started = await theatre.call("POST", f"{path}/start-sale")
    assert (started.status, started.body["type"]) == (422, "/problems/date-is-past")


async def test_a_date_that_is_past_is_refused(theatre):
    show = await theatre.show()
    path, past = f"/shows/{show['show_id']}", (datetime.now(UTC) - timedelta(days=365)).isoformat()
    new = {"hall_id": show["hall_id"], "name": "X", "starts_at": past, "currency": "UAH"}
    asked = {"starts_at": past, "confirm": True}
    for answer in (
        await theatre.call("POST", "/shows", new),
        await theatre.call("PATCH", path, asked, headers={"If-Match": '"v2"'}),
    ):
        assert (answer.status, answer.body["type"]) == (422, "/problems/date-is-past"), answer.body
    assert (await theatre.call("GET", path)).body["starts_at"] == show["starts_at"]


async def test_a_new_date_that_people_must_be_told_of_is_asked_for_first(theatre):
    show = await theatre.show()
    path = f"/shows/{show['show_id']}"
    near, later = ({"starts_at": (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()} for minutes in (30, 600))

    async def change(body: dict[str, Any], version: int) -> Answer:
        return await theatre.call("PATCH", path, body, headers={"If-Match": f'"v{version}"'})

    asked = await change(near, 2)
    assert (asked.status, asked.body["type"]) == (409, "/problems/confirm-first")
    assert asked.body["warnings"] == ["The sale would end within the hour, when the show begins."]
    assert (await change(later, 2)).status == 200, "nobody has seats"
    await theatre.hold(show, "1-1", "1-2")
    asked = await change({"starts_at": show["starts_at"]}, 3)
    assert asked.body["type"] == "/problems/confirm-first"
    assert "2 seats are held or sold" in asked.body["warnings"][0]
    assert (await change({"name": "Y", **later}, 3)).status == 200, "the date stays"
    assert (await change({"starts_at": show["starts_at"], "confirm": True}, 4)).status == 200


async def test_staff_take_back_that_a_show_is_finished(db):
    show = await make_show(db, days=-1)
    board = board_of(db)
    async with db.as_worker() as session:
        await commands.finish_shows(session, board, AFTER)
    ahead = datetime.now(UTC) + timedelta(days=3)
    async with db.as_worker() as session:
        finished = await board.read(session, show.show_id)
        again = (session, board, show.organisation, show.show_id, finished.version)
        with pytest.raises(DateIsPast):
            await commands.reopen_show(*again, datetime.now(UTC) - timedelta(seconds=1))
        opened = await commands.reopen_show(*again, ahead)
        assert (opened.status, opened.starts_at) == (ShowStatus.SALES_STOPPED, ahead)
        with pytest.raises(ShowClosed):
            await commands.reopen_show(*again[:4], opened.version, ahead)
        assert (await commands.start_sale(session, board, show.organisation, show.show_id)).status == "on_sale"
    async with db.as_worker() as session:
        await commands.finish_shows(session, board, AFTER)
        assert (await board.read(session, show.show_id)).status == ShowStatus.ON_SALE
