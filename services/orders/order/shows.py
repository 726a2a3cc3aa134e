"""What becomes of orders when their show is moved or renamed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.orders.order.tables import Order


async def rename(session: AsyncSession, organisation: UUID, show_id: UUID, name: str, starts_at: datetime) -> None:
    """Lists, cards, pages, exports and later events call the show by its name and date of today.

    No event tells it of each order: whoever keeps orders by their show hears of the show itself.
    """
    differ = or_(Order.title != name, Order.starts_at.is_distinct_from(starts_at))
    of_show = select(Order.id).where(Order.organisation == organisation, Order.show_id == show_id, differ)
    # Locked in one order, as elsewhere where several orders are locked at once.
    locked = of_show.order_by(Order.id).with_for_update().scalar_subquery()
    statement = update(Order).where(Order.id.in_(locked)).values(title=name, starts_at=starts_at)
    await session.execute(statement.execution_options(synchronize_session=False))
