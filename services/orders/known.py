"""What other services told: organisations, people who registered, shows, and messages that did not reach anybody."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.base import Base


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


class Show(Base):
    """A show as ticketing told it last, from `ticketing.show`: whether it is sold, and when it begins now."""

    __tablename__ = "shows"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    name: Mapped[str]
    starts_at: Mapped[datetime]
    status: Mapped[str]
    told_at: Mapped[datetime]
    version: Mapped[int]


class Undelivered(Base):
    """A message about an order that was refused for good, given up, or sent and came back."""

    __tablename__ = "undelivered"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(index=True)
    template: Mapped[str]
    channel: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]
