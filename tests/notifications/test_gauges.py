"""What the gauges of the queue say while mail cannot leave."""

from __future__ import annotations

from sqlalchemy import text

from services.notifications import gauges
from services.notifications.metrics import OVERDUE
from tests.notifications.conftest import Office
from tests.notifications.test_courier import paid_order

TEN_MINUTES_AGO = """
    UPDATE {table} SET {column} = {column} - interval '10 minutes'
"""


async def overdue(office: Office) -> float:
    await gauges.measure(office.db)
    return OVERDUE._value.get()


async def test_an_attempt_does_not_make_a_message_young_again(office: Office) -> None:
    office.smtp.rcpt = ["451 4.7.1 greylisted"] * 10
    await paid_order(office)
    await office.deliver()
    for table, column in (("attempt", "started_at"), ("message", "due_at")):
        async with office.db.as_worker() as session:
            await session.execute(text(TEN_MINUTES_AGO.format(table=table, column=column)))
    await office.deliver()
    assert len(await office.attempts((await office.messages(template="tickets_issued"))[0])) == 2
    assert 600 <= await overdue(office) < 1200


async def test_a_server_that_cannot_be_reached_makes_messages_late_too(office: Office) -> None:
    await office.smtp.stop()
    await paid_order(office)
    await office.deliver()
    async with office.db.as_worker() as session:
        await session.execute(text(TEN_MINUTES_AGO.format(table="attempt", column="started_at")))
    assert await overdue(office) >= 600


async def test_what_is_not_due_yet_is_not_late_and_a_quiet_replica_says_nothing(office: Office) -> None:
    await paid_order(office)
    await office.deliver()
    async with office.db.as_worker() as session:
        await session.execute(text("UPDATE message SET due_at = now() + interval '1 hour' WHERE status = 'pending'"))
    assert await overdue(office) == 0
    OVERDUE.set(5)
    gauges.unsay()
    assert OVERDUE._value.get() == 0
