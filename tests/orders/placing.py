"""Orders that wait for their money, and the end of their time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from services.orders.order.tables import Order
from tests.orders.stage import Stage
from tests.orders.ticketing import Hold


async def placed(stage: Stage, **more: int) -> tuple[Hold, str, dict[str, str]]:
    hold = stage.ticketing.hold(stage.organisation, **more)  # type: ignore[arg-type]
    answer = await stage.checkout(hold)
    assert answer.status == 201, answer
    return hold, answer.json["payment"]["payment_id"], {"Order-Key": answer.json["order_key"]}


async def pass_deadline(stage: Stage, hold: Hold, ago: timedelta = timedelta(seconds=1)) -> None:
    async with stage.db.as_worker() as session:
        past = datetime.now(UTC) - ago
        await session.execute(update(Order).where(Order.id == hold.hold_id).values(due_at=past))
