"""Courses and goods, students, and what other services told of organisations and people."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.models.base import Base


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


class Enrolment(Base):
    """A student of a course: the buyer after payment (ORD-50, REG-12)."""

    __tablename__ = "enrolments"
    __table_args__ = (UniqueConstraint("line_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("order_lines.id"))
    offer_id: Mapped[UUID] = mapped_column(index=True)
    course: Mapped[str]
    student_name: Mapped[str]
    student_email: Mapped[str | None]
    student_phone: Mapped[str | None]
    access_url: Mapped[str]
    access_token: Mapped[str | None] = mapped_column(unique=True)
    group_name: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Organisation(Base):
    """Settings of an organisation, from `accounts.organisation`."""

    __tablename__ = "organisations"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    currency: Mapped[str]
    locale: Mapped[str]
    phone_region: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    version: Mapped[int]


class Account(Base):
    """What a person entered when they registered on the platform, from `accounts.account` (ORD-26, REG-6).

    Belongs to no organisation. It is shown beside an order whose e-mail is the same, if the person ordered it or shows
    their data to the organisation: anybody may write an address into an order.
    """

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(index=True)
    name: Mapped[str]
    phone: Mapped[str | None]
    shared_with: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    version: Mapped[int]
