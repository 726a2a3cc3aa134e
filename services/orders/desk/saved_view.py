"""The default view of the orders table: which stages it shows where nobody has asked for any (ORD-7, GAP-19).

One per organisation; the factory's shows paid orders of shows, and all of products.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, and_, or_, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.concurrency import check_version
from contracts.orders import FunnelStage
from services.orders.desk.tables import SavedView
from services.orders.order.tables import Order


class View(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shows: list[FunnelStage] | None = [FunnelStage.PAID]
    """Stages of orders of shows; null is all of them."""
    products: list[FunnelStage] | None = None
    """The same of courses and goods."""

    def condition(self) -> ColumnElement[bool]:
        of_products = Order.offer_id.is_not(None)
        return or_(and_(~of_products, _among(self.shows)), and_(of_products, _among(self.products)))


def _among(stages: list[FunnelStage] | None) -> ColumnElement[bool]:
    return true() if stages is None else Order.stage.in_([stage.value for stage in stages])


async def view_of(session: AsyncSession, organisation: UUID) -> tuple[View, int]:
    """The view of an organisation and its version; 0 is the factory's."""
    row = await session.get(SavedView, organisation)
    return (View.model_validate(row.view), row.version) if row else (View(), 0)


async def save_view(session: AsyncSession, organisation: UUID, view: View, seen: int, actor: str) -> int:
    """Returns the new version. Raises `PreconditionFailed` if somebody else has saved one since it was seen."""
    factory = {"version": 0, "view": View().model_dump(mode="json"), "changed_by": actor}
    await session.execute(insert(SavedView).values(organisation=organisation, **factory).on_conflict_do_nothing())
    row = await session.get_one(SavedView, organisation, with_for_update=True, populate_existing=True)
    check_version(seen, row.version)
    row.version, row.view, row.changed_by = seen + 1, view.model_dump(mode="json"), actor
    await session.flush()
    return row.version
