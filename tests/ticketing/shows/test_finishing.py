"""Shows that are over (GAP-15): nothing is sold any more, and everybody is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from contracts.envelope import decode
from contracts.ticketing import ShowChanged, ShowStatus
from services.ticketing.shows import commands
from tests.ticketing.holds.crowd import board_of, make_show

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
    show = await theatre.show(starts_at=(datetime.now(UTC) - timedelta(minutes=1)).isoformat())
    refused = await theatre.hold(show, "1-1")
    assert (refused.status, refused.body["type"]) == (409, "/problems/show-not-on-sale")
    assert "has begun" in refused.body["detail"]
