"""Tables of CRM. `Alias` is what makes a customer one: a contact belongs to one customer of an organisation."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Date, ForeignKey, Index, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from chassis.db import ServiceBase, service_metadata


class Base(ServiceBase):
    metadata = service_metadata()


class AliasKind(StrEnum):
    """What a customer is known by, the strongest first: the stronger decides when two customers differ."""

    EMAIL = "email"
    PHONE = "phone"
    ACCOUNT = "account"
    ORDER = "order"
    """Only for an order without any other: so its later events find the same customer."""


class Organisation(Base):
    """What CRM needs of an organisation: how to read phone numbers without a country code."""

    __tablename__ = "organisation"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    phone_region: Mapped[str]
    version: Mapped[int]
    event_at: Mapped[datetime]


class Account(Base):
    """What people entered on the platform themselves. It belongs to no organisation: the api role sees none."""

    __tablename__ = "account"
    __table_args__ = (Index(None, "email_key"),)

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str]
    name: Mapped[str]
    phone: Mapped[str | None]
    shared_with: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    """Organisations that may see these data wherever the address stands."""
    version: Mapped[int]
    event_at: Mapped[datetime]


class Customer(Base):
    """A person in one organisation. `name` is as first typed, or as staff corrected it (CUS-4).

    `registered_*` is what the person entered on the platform, kept beside what was typed in orders (CUS-12, REG-6).

    A customer that staff merged into another keeps its row, orders and contacts, and is counted as the other. So a
    merge moves nothing, whatever belongs to a customer follows it, and to undo a merge gives back what was.
    """

    __tablename__ = "customer"
    __table_args__ = (
        Index(None, "organisation", "created_at"),
        Index(None, "account_id"),
        Index(None, "merged_into"),
        Index("ix_customer_counted_as", text("coalesce(survivor_id, id)")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation: Mapped[UUID]
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str]
    date_of_birth: Mapped[date | None] = mapped_column(Date)
    locality: Mapped[str | None]
    address: Mapped[str | None]
    blacklisted: Mapped[bool] = mapped_column(default=False)
    blacklist_reason: Mapped[str | None]
    blacklisted_by: Mapped[str | None]
    blacklisted_at: Mapped[datetime | None]
    account_id: Mapped[UUID | None]
    registered_name: Mapped[str | None]
    registered_email: Mapped[str | None]
    registered_phone: Mapped[str | None]
    merged_into: Mapped[UUID | None] = mapped_column(ForeignKey("customer.id"))
    """The customer that staff merged it into, who may have been merged into another one later."""
    merged_by: Mapped[str | None]
    merged_at: Mapped[datetime | None]
    survivor_id: Mapped[UUID | None] = mapped_column(ForeignKey("customer.id"))
    """The last of that chain; none while it stands for itself."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @hybrid_property
    def counted_as(self) -> UUID:
        """Who stands for this customer in lists, cards and events."""
        return self.survivor_id or self.id

    @counted_as.inplace.expression
    @classmethod
    def _counted_as(cls) -> ColumnElement[UUID]:
        return func.coalesce(cls.survivor_id, cls.id)


class Alias(Base):
    """Something a customer is known by. The unique constraint, not a lock, keeps two customers from sharing it."""

    __tablename__ = "alias"
    __table_args__ = (UniqueConstraint("organisation", "kind", "value"), Index(None, "customer_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation: Mapped[UUID]
    kind: Mapped[str]
    value: Mapped[str]
    """Normalised e-mail, E.164 number, or an id."""
    raw: Mapped[str]
    """As it was typed."""
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customer.id", deferrable=True, initially="DEFERRED"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class Overlap(Base):
    """An order named contacts of two customers, who may be one person. Staff decide; nothing is merged by itself."""

    __tablename__ = "overlap"
    __table_args__ = (
        UniqueConstraint("organisation", "customer_id", "kind", "value"),
        Index(None, "other_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    organisation: Mapped[UUID]
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customer.id", deferrable=True, initially="DEFERRED"))
    """Whose order it became."""
    other_id: Mapped[UUID] = mapped_column(ForeignKey("customer.id", deferrable=True, initially="DEFERRED"))
    """Who keeps the contact."""
    kind: Mapped[str]
    value: Mapped[str]
    order_id: Mapped[UUID]
    noted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CustomerOrder(Base):
    """The newest state of an order, with the contact data as typed in it (CUS-7, CUS-12). Amounts are minor units."""

    __tablename__ = "customer_order"
    __table_args__ = (
        Index(None, "customer_id", "created_at"),
        Index(None, "organisation", "number_key"),
        Index("ix_customer_order_interest", "created_at", postgresql_where=text("stage = 'interested'")),
    )

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    customer_id: Mapped[UUID] = mapped_column(ForeignKey("customer.id", deferrable=True, initially="DEFERRED"))
    number: Mapped[str]
    number_key: Mapped[str]
    """As it is searched: upper case without blanks."""
    stage: Mapped[str]
    payment_status: Mapped[str]
    payment_method: Mapped[str | None]
    title: Mapped[str]
    currency: Mapped[str]
    total: Mapped[int]
    paid: Mapped[int]
    refunded: Mapped[int]
    show_id: Mapped[UUID | None]
    offer_id: Mapped[UUID | None]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    """What was bought: kind, title, quantity, total."""
    typed_name: Mapped[str]
    typed_email: Mapped[str | None]
    typed_phone: Mapped[str | None]
    account_id: Mapped[UUID | None]
    phone_read: Mapped[bool]
    """Whether the phone, if any, could be read as a number."""
    by_staff: Mapped[bool] = mapped_column(server_default=text("false"))
    """Staff said whose order it is: nothing that is typed in it gives it to another customer."""
    created_at: Mapped[datetime]
    removed: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int]
    event_at: Mapped[datetime]
    event_id: Mapped[UUID]
