"""Rows that totals are counted from. Each row depends on events only, never on the order in which they came.

`organisation_row`, `show_row` and `order_row` hold the newest state of an aggregate: a row is replaced only by an event
with a greater (version, event_at, event_id). `movement` and `removed_order` are only ever inserted; `ticket_row` only
ever gains a date. So a duplicate or a late event changes nothing that it should not, and a rebuild gives the same
bytes.

Amounts are integer minor units of `currency`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import ServiceBase, service_metadata


class Base(ServiceBase):
    metadata = service_metadata()


class OrganisationRow(Base):
    """What a report needs of an organisation: its days begin at midnight of its own time zone."""

    __tablename__ = "organisation_row"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    currency: Mapped[str]
    time_zone: Mapped[str]
    version: Mapped[int]
    event_at: Mapped[datetime]
    event_id: Mapped[UUID]


class ShowRow(Base):
    """A show, for its name and date."""

    __tablename__ = "show_row"
    __table_args__ = (Index(None, "organisation", "starts_at"),)

    show_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    name: Mapped[str]
    starts_at: Mapped[datetime]
    status: Mapped[str]
    currency: Mapped[str]
    capacity: Mapped[int]
    version: Mapped[int]
    event_at: Mapped[datetime]
    event_id: Mapped[UUID]


class OrderRow(Base):
    """The newest state of an order."""

    __tablename__ = "order_row"
    __table_args__ = (
        Index(None, "organisation", "created_at"),
        Index(None, "organisation", "event_at"),
        Index(None, "show_id"),
        Index("ix_order_row_interest", "created_at", postgresql_where=text("stage = 'interested'")),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    number: Mapped[str]
    stage: Mapped[str]
    payment_status: Mapped[str]
    payment_method: Mapped[str | None]
    currency: Mapped[str]
    total: Mapped[int]
    show_id: Mapped[UUID | None]
    offer_id: Mapped[UUID | None]
    title: Mapped[str]
    created_at: Mapped[datetime]
    version: Mapped[int]
    event_at: Mapped[datetime]
    event_id: Mapped[UUID]


class RemovedOrder(Base):
    """An order taken out of the lists (ORD-54). Its payments remain in the income (GAP-21)."""

    __tablename__ = "removed_order"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]


class Movement(Base):
    """Money that came (positive) or went back (negative), at the time of its payment event."""

    __tablename__ = "movement"
    __table_args__ = (Index(None, "organisation", "at"), Index(None, "order_id"))

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID]
    payment_id: Mapped[UUID]
    provider: Mapped[str]
    currency: Mapped[str]
    minor: Mapped[int]
    at: Mapped[datetime]
    returned: Mapped[bool] = mapped_column(server_default=text("false"))
    """Of money that went back, or of a refund that failed afterwards; otherwise of money that came."""


class TicketRow(Base):
    """A ticket and when it was issued and voided."""

    __tablename__ = "ticket_row"
    __table_args__ = (Index(None, "organisation", "show_id"),)

    ticket_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    show_id: Mapped[UUID]
    order_id: Mapped[UUID]
    issued_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]


class Fact(Base):
    """An event without the persons (`archive`). Only ever inserted, and no part of what a rebuild throws away."""

    __tablename__ = "fact"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(unique=True)
    event_type: Mapped[str]
    organisation: Mapped[UUID]
    aggregate_version: Mapped[int]
    time: Mapped[datetime]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)


PROJECTIONS = tuple(
    Base.metadata.tables[kind.__tablename__]
    for kind in (OrganisationRow, ShowRow, OrderRow, RemovedOrder, Movement, TicketRow)
)
"""The tables that are rebuilt from the archive."""
