"""Table of halls."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from services.ticketing.base import Base


class Hall(Base):
    """A hall with its seating plan. The plan does not change: a new plan is a new hall."""

    __tablename__ = "hall"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID] = mapped_column(index=True)
    name: Mapped[str]
    plan: Mapped[str]
    """The JSON document as it was imported."""
    seats: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
