"""One order for several holds: the orders that the holds opened when they were placed are taken over by it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.orders import FunnelStage, OrderDeleted
from services.orders.errors import HoldOver, NotPossibleNow
from services.orders.order.happen import publish
from services.orders.order.load import create_order, load
from services.orders.order.tables import Order
from services.orders.order.told import order_fields


async def free_hold(session: AsyncSession, hold_id: UUID, organisation: UUID, currency: str) -> Order:
    """The order that a hold opened, locked. Raises `HoldOver`, or `NotPossibleNow` where somebody ordered it."""
    order = await load(session, hold_id) or await create_order(session, hold_id, organisation, currency=currency)
    if order.hold_released and order.stage in (None, FunnelStage.INTERESTED):
        raise HoldOver("The seats are free again. Choose them once more.")
    return order


async def take_over(session: AsyncSession, order: Order, hold: Order) -> None:
    """From now on, what is told of the hold reaches `order`. Raises `NotPossibleNow`."""
    if hold.merged_into is not None or hold.stage not in (None, FunnelStage.INTERESTED):
        raise NotPossibleNow("Some of the seats were ordered already, by themselves or with others.")
    hold.merged_into, hold.deleted_at, hold.deleted_by = order.id, datetime.now(UTC), "merged"
    if hold.stage is not None:
        # Others know the interest as an order: it is not one any more.
        publish(session, hold, OrderDeleted(**order_fields(hold)))
    hold.lines = []
    # Before the same lines are written as those of the other order.
    await session.flush()
