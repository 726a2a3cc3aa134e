"""What an organisation sees of its orders when it asks for nothing in particular."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.base import Base


class SavedView(Base):
    """The default view of the orders table (GAP-19); without a row, the factory's."""

    __tablename__ = "saved_view"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    view: Mapped[dict[str, Any]] = mapped_column(JSONB)
    changed_by: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
