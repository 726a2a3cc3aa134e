"""The table of offers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.base import Base


class Offer(Base):
    """A course or goods that orders are tied to (CAT-2, ORD-45)."""

    __tablename__ = "offers"
    __table_args__ = (UniqueConstraint("organisation", "sku"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    kind: Mapped[str]
    sku: Mapped[str]
    name: Mapped[str]
    price: Mapped[int]
    currency: Mapped[str]
    invoice_allowed: Mapped[bool] = mapped_column(server_default=text("false"))
    on_sale: Mapped[bool] = mapped_column(server_default=text("true"))
    group_name: Mapped[str | None]
    """The group that students of the course join at present, if there is one (ORD-50)."""
    version: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
