"""Tables of holds and of the seats they have."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.orm import Mapped, mapped_column

from services.ticketing.base import Base


class HoldStatus(StrEnum):
    """GAP-15. An active hold is over once `expires_at` has passed, whatever is written here; its seats are free when it
    is released, annulled or expired."""

    ACTIVE = "active"
    LAPSED = "lapsed"
    """Its time is over. Orders was asked whether anybody ordered the seats, and has not answered."""
    RELEASED = "released"
    ANNULLED = "annulled"
    EXPIRED = "expired"
    CONVERTED = "converted"


ENDED = "status IN ('released', 'annulled', 'expired')"
HAS_SEATS = "status IN ('active', 'lapsed')"


class Hold(Base):
    """Some seats of a show that somebody has for a limited time. The order that may follow has the same id."""

    __tablename__ = "hold"
    __table_args__ = (
        # What the expiry job looks for; ended holds are not in it.
        Index("ix_hold_active_until", "expires_at", postgresql_where=text("status = 'active'")),
        Index(None, "show_id", "placed_at"),
        # How many seats somebody holds at once.
        Index("ix_hold_account_id", "account_id", postgresql_where=text(HAS_SEATS)),
        Index("ix_hold_network", "network", postgresql_where=text(HAS_SEATS)),
        # How long answers of orders are awaited.
        Index("ix_hold_lapsed", "expires_at", postgresql_where=text("status = 'lapsed'")),
        # What is forgotten in time: nothing that has become tickets.
        Index("ix_hold_ended", "show_id", postgresql_where=text(ENDED)),
        Index("ix_hold_ended_placed_at", "placed_at", postgresql_where=text(ENDED)),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    show_id: Mapped[UUID]
    seats: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """In key order."""
    terms: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """Each seat with label, zone and price as they were when it was placed: what the quote says."""
    places: Mapped[list[dict[str, Any]]] = mapped_column(JSON, server_default="[]")
    """The same of places in areas."""
    units: Mapped[int] = mapped_column(server_default="0")
    """How many seats and places it has."""
    asked: Mapped[str] = mapped_column(server_default="")
    """A mark of what was asked for, by which the same request is known again."""
    channel: Mapped[str] = mapped_column(server_default="site")
    name: Mapped[str | None]
    """Who the ticket desk keeps it for."""
    note: Mapped[str | None]
    clerk_id: Mapped[UUID | None]
    """The account of the member of staff who placed it."""
    status: Mapped[str] = mapped_column(server_default="active")
    placed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    latest_at: Mapped[datetime]
    """However often it is extended, it ends then."""
    extended: Mapped[bool] = mapped_column(server_default="false")
    account_id: Mapped[UUID | None]
    network: Mapped[str | None]
    """Where it was asked for: an IPv4 address or an IPv6 /64. Not of the ticket desk's."""
    version: Mapped[int] = mapped_column(server_default="1")


class HeldPlaceRow(Base):
    """Places of an area that a hold has at one fare. What all holds have of an area together is its `taken`."""

    __tablename__ = "held_place"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"), Index(None, "area_id"))

    hold_id: Mapped[UUID] = mapped_column(primary_key=True)
    area_id: Mapped[UUID] = mapped_column(primary_key=True)
    fare: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    show_id: Mapped[UUID]
    quantity: Mapped[int]
    until: Mapped[datetime]
    """When its hold is over; infinity when they are sold."""


class HeldSeatRow(Base):
    """Who has a seat. The primary key is what keeps two buyers apart: a seat with a row is taken, whatever the time."""

    __tablename__ = "held_seat"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    show_id: Mapped[UUID] = mapped_column(primary_key=True)
    seat: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    hold_id: Mapped[UUID]
    until: Mapped[datetime]
    """When its hold is over; infinity when it is sold."""
