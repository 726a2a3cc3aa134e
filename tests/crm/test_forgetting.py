"""CRM forgets orders that never were more than seats which somebody looked at."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from chassis.db import Database
from chassis.retention import forget
from contracts.orders import Customer
from services.crm import retention
from services.crm.consumers import order_told
from services.crm.models import CustomerOrder
from services.crm.settings import Settings
from tests.events import OrderStory

OLENA = Customer(name="Олена Шевченко", email="olena.s@example.com", phone="+380671234567")


@pytest.mark.parametrize("days", [90, 7])
async def test_a_mere_hold_is_forgotten_in_time_and_nothing_else(db: Database, days: int) -> None:
    organisation = uuid4()
    mere, young, ordered = (OrderStory(organisation, customer=OLENA) for _ in range(3))
    async with db.as_worker() as session:
        for story in (mere, young, ordered):
            held = story.interested()
            # Somebody who is signed in has a name already.
            await order_told(session, replace(held, data=held.data.model_copy(update={"customer": OLENA})))
        await order_told(session, ordered.placed())
        aged = text("UPDATE customer_order SET created_at = now() - make_interval(days => :days) WHERE order_id = :id")
        for story, age in ((mere, days + 1), (young, days - 1), (ordered, days + 1)):
            await session.execute(aged, {"days": age, "id": story.order_id})
    (rule,) = retention.rules(Settings(interest_days=days))
    assert [await forget(db, rule), await forget(db, rule)] == [1, 0]
    async with db.as_worker() as session:
        left = set(await session.scalars(select(CustomerOrder.order_id)))
    assert left == {young.order_id, ordered.order_id}
