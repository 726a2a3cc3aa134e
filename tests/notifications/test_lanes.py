"""A flood of letters in one lane does not delay another lane's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import select

from chassis.jobs import Turn, run_forever
from contracts.orders import Participant
from services.notifications import resend
from services.notifications.delivery.dispatch import Dispatch
from services.notifications.models import Message
from tests.harness import eventually
from tests.notifications.conftest import Office

OLENA = Participant(name="Олена Шевченко", email="olena@example.com")


@asynccontextmanager
async def dispatch(office: Office, connections: int) -> AsyncIterator[None]:
    """All jobs that deliver, as the service runs them."""
    chosen = {"smtp_url": SecretStr(office.smtp.url), "smtp_connections": connections, "delivery_batch": 2}
    made = Dispatch(office.settings.model_copy(update=chosen))
    async with made.open(FastAPI()):
        turn = Turn(office.db)
        work = [asyncio.create_task(run_forever(job, office.db, turn)) for job in made.jobs()]
        try:
            yield
        finally:
            if office.smtp.gate is not None:
                office.smtp.gate.set()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)


def templates(office: Office) -> set[str]:
    return {str(mail["X-Footlights-Template"]) for mail in office.smtp.mails}


async def paid_orders(office: Office, count: int) -> None:
    await office.hear_organisation()
    for _ in range(count):
        story = office.story(guests=(OLENA,))
        await office.hear(story.paid(), story.issued())


@pytest.mark.parametrize("connections", [1, 3])
async def test_tickets_wait_for_no_reminders_and_what_staff_send_for_no_tickets(office: Office, connections: int):
    await paid_orders(office, 30)
    await office.deliver()
    office.smtp.mails.clear()
    office.smtp.gate, office.smtp.gated, office.smtp.receiving = asyncio.Event(), {"show_reminder"}, 0
    async with dispatch(office, connections):
        await office.hurry(reminders=True)
        await eventually(lambda: office.smtp.receiving == connections)
        await paid_orders(office, 2)
        await eventually(lambda: len(office.smtp.mails) == 2)
        assert templates(office) == {"tickets_issued"}
        office.smtp.gated |= {"tickets_issued"}
        await paid_orders(office, 6)
        await eventually(lambda: office.smtp.receiving >= 2 + 2 * connections)
        async with office.db.as_worker() as session:
            order = await session.scalar(select(Message.order_id).limit(1))
            assert order is not None
            await resend.order_data(session, office.organisation, order, office.settings)
        await eventually(lambda: "order_data" in templates(office))


async def test_a_lane_has_as_many_mails_under_way_as_connections(office: Office):
    await paid_orders(office, 8)
    office.smtp.gate = asyncio.Event()
    async with dispatch(office, 3):
        await eventually(lambda: office.smtp.receiving == 3)
        office.smtp.gate.set()
        await eventually(lambda: len(office.smtp.mails) == 8)
    assert set(office.smtp.message_ids.values()) == {1}
