"""Tables of shows, their price zones and areas."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.orm import Mapped, mapped_column

from services.ticketing.base import Base


class Show(Base):
    """A performance in a hall. Every change of it or of its price zones adds one to `version`."""

    __tablename__ = "show"
    __table_args__ = (
        Index(None, "organisation", "starts_at"),
        Index(None, "starts_at"),
        CheckConstraint("hold_seconds > 0 AND payment_seconds > 0", name="periods"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    hall_id: Mapped[UUID] = mapped_column(ForeignKey("hall.id"))
    name: Mapped[str]
    starts_at: Mapped[datetime]
    currency: Mapped[str]
    invoice_allowed: Mapped[bool] = mapped_column(server_default="false")
    hold_seconds: Mapped[int | None]
    """The booking period of this show (SET-5); the platform's own when null."""
    payment_seconds: Mapped[int | None]
    """How long a card order of this show may wait for its money; the platform's own when null."""
    status: Mapped[str] = mapped_column(server_default="draft")
    """A `ShowStatus`."""
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class PriceZoneRow(Base):
    """A price, and the categories of the plan and the single seats that are sold at it. A seat named singly is in that
    zone whatever its category's zone is."""

    __tablename__ = "price_zone"
    __table_args__ = (CheckConstraint("price_minor >= 0", name="price"), Index(None, "show_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    show_id: Mapped[UUID] = mapped_column(ForeignKey("show.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str]
    price_minor: Mapped[int]
    categories: Mapped[list[str]] = mapped_column(ARRAY(Text))
    seats: Mapped[list[str]] = mapped_column(ARRAY(Text))
    invoice_allowed: Mapped[bool | None]
    """Whether these tickets may be ordered by invoice (ORD-39); as the show says when null."""
    fares: Mapped[list[dict[str, Any]]] = mapped_column(JSON, server_default="[]")
    """What each kind of visitor pays, the usual one first; empty where everybody pays the price."""
    accessible: Mapped[bool] = mapped_column(server_default="false")
    """Whether these seats are given only to those who ask for them."""


class AreaRow(Base):
    """Places that nobody chooses one by one. `taken` counts those that are held or sold; the check is what keeps the
    last place from being had by two."""

    __tablename__ = "area"
    __table_args__ = (
        CheckConstraint("taken >= 0 AND taken <= capacity", name="taken"),
        Index(None, "show_id"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    show_id: Mapped[UUID] = mapped_column(ForeignKey("show.id", ondelete="CASCADE"))
    zone_id: Mapped[UUID]
    position: Mapped[int]
    name: Mapped[str]
    capacity: Mapped[int]
    taken: Mapped[int] = mapped_column(server_default="0")
