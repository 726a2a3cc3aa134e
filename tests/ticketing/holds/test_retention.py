"""What ticketing forgets: holds that ended without tickets, long after their show."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from chassis.db import Database
from chassis.retention import forget
from services.ticketing import retention
from services.ticketing.settings import Settings
from tests.ticketing.holds.crowd import ask, lapse_all, let_run_out, make_show, open_lane
from tests.ticketing.tickets.box import Box

STATUSES = ("active", "released", "annulled", "expired", "converted")


async def statuses(db: Database, show_id) -> set[str]:
    async with db.as_worker() as session:
        found = text("SELECT status FROM hold WHERE show_id = :show")
        return set(await session.scalars(found, {"show": show_id}))


async def test_holds_that_ended_are_forgotten_long_after_their_show(db):
    old, young = await make_show(db, seats=5), await make_show(db, seats=5)
    async with open_lane(db) as lane:
        for show in (old, young):
            for number, status in enumerate(STATUSES, 1):
                request = ask(show, f"1-{number}")
                lane.join(request)
                await request.future
                async with db.as_worker() as session:
                    become = text("UPDATE hold SET status = :status WHERE id = :id")
                    await session.execute(become, {"status": status, "id": request.hold_id})
    async with db.as_worker() as session:
        begin = text("UPDATE show SET starts_at = now() - make_interval(days => :days) WHERE id = :id")
        await session.execute(begin, [{"id": old.show_id, "days": 401}, {"id": young.show_id, "days": 399}])
    await forget_all(db)
    assert await statuses(db, old.show_id) == {"active", "converted"}
    assert await statuses(db, young.show_id) == set(STATUSES)


async def test_holds_that_ended_without_an_order_are_forgotten_sooner(db):
    layout = await make_show(db)
    async with open_lane(db) as lane:
        box = Box(db, layout, lane)
        old, ordered, young = [await box.hold(seat) for seat in ("1-1", "1-2", "1-3")]
        await box.hear(ordered.placed())
        await box.hear(ordered.expired())
        for mere in (old, young):
            await let_run_out(db, layout.show_id, UUID(mere.hold["hold_id"]))
            await lapse_all(db)
            await box.hear(mere.unclaimed())
    ids = {name: UUID(order.hold["hold_id"]) for name, order in (("old", old), ("ordered", ordered), ("young", young))}
    async with db.as_worker() as session:
        age = text("UPDATE hold SET placed_at = now() - interval '91 days' WHERE id = ANY(:ids)")
        await session.execute(age, {"ids": [ids["old"], ids["ordered"]]})
    await forget_all(db)
    async with db.as_worker() as session:
        left = await session.scalars(text("SELECT id FROM hold WHERE show_id = :show"), {"show": layout.show_id})
        assert set(left) == {ids["ordered"], ids["young"]}


async def forget_all(db: Database) -> None:
    for rule in retention.rules(Settings()):
        while await forget(db, rule, batch=2):
            pass
