"""Messages about an order that did not reach their recipient, as notifications tells it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from services.orders.models.base import Base


class Undelivered(Base):
    """A message that was refused for good, given up, or sent and came back."""

    __tablename__ = "undelivered"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(index=True)
    template: Mapped[str]
    channel: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]
