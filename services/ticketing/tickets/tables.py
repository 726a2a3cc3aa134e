"""Tables of tickets, their documents, and what is known of the orders they belong to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.orm import Mapped, mapped_column

from services.ticketing.base import Base

FIRST_NUMBER = 1_000_001


class OrderStage(StrEnum):
    """How far an order came, as far as its tickets are concerned."""

    OPEN = "open"
    ISSUED = "issued"
    REFUSED = "refused"
    """Paid, but the seats could not be had."""
    CLOSED = "closed"
    """Cancelled before there were tickets: there never will be any."""


class OrderRecord(Base):
    """A hold that an order was made of, one row for each hold of the order. Events may come twice or in any order; this
    row remembers what was."""

    __tablename__ = "order_record"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """That of the hold."""
    order_id: Mapped[UUID] = mapped_column(index=True)
    organisation: Mapped[UUID] = mapped_column(index=True)
    show_id: Mapped[UUID]
    stage: Mapped[str] = mapped_column(server_default="open")
    account_id: Mapped[UUID | None]
    """Who ordered, signed in."""
    revoked_seats: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    """Seats whose tickets were revoked, also before there were any."""
    revoked_places: Mapped[dict[str, dict[str, int]]] = mapped_column(JSON, server_default="{}")
    """By request, how many tickets of which line were revoked, also before there were any."""
    version: Mapped[int] = mapped_column(server_default="0")


class Document(Base):
    """One PDF with the tickets of one recipient of an order. It is printed when it is asked for."""

    __tablename__ = "document"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID] = mapped_column(index=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    hold_id: Mapped[UUID] = mapped_column(ForeignKey("order_record.id"), index=True)
    locale: Mapped[str]
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TicketRow(Base):
    """A ticket, which is also the registration of the person who is printed on it (REG-5, REG-6)."""

    __tablename__ = "ticket"
    __table_args__ = (
        # The last guard: whatever goes wrong above, one seat has one living ticket.
        Index("uq_ticket_living_seat", "show_id", "seat", unique=True, postgresql_where=text("voided_at IS NULL")),
        Index(None, "show_id"),
        Index("ix_ticket_holder_email", text("lower(holder_email)")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True, start=FIRST_NUMBER), unique=True)
    organisation: Mapped[UUID] = mapped_column(index=True)
    order_id: Mapped[UUID] = mapped_column(index=True)
    hold_id: Mapped[UUID] = mapped_column(ForeignKey("order_record.id"), index=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("document.id"), index=True)
    show_id: Mapped[UUID]
    seat: Mapped[str | None]
    area_id: Mapped[UUID | None]
    """Of a ticket that is for no seat."""
    place: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The seat's zone, row and number in the plan, to be printed in the reader's language."""
    label: Mapped[str]
    zone_name: Mapped[str]
    fare: Mapped[str] = mapped_column(server_default="full")
    fare_name: Mapped[str | None]
    """None where the zone has one fare."""
    line_id: Mapped[UUID | None]
    """The line of the order that it was given for."""
    channel: Mapped[str] = mapped_column(server_default="site")
    """Where it was held."""
    price_minor: Mapped[int]
    currency: Mapped[str]
    code: Mapped[str]
    """What the QR code says."""
    holder_name: Mapped[str]
    holder_email: Mapped[str | None]
    holder_phone: Mapped[str | None]
    issued_at: Mapped[datetime] = mapped_column(server_default=func.now())
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]
    void_request: Mapped[UUID | None]
    """The refund or cancellation that asked for it."""
