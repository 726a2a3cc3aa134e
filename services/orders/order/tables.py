"""An order in all its stages, its lines, and what was done to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from chassis import search
from contracts.money import Money
from contracts.orders import FunnelStage
from services.orders.base import Base
from services.orders.payments.tables import Payment, Refund

LISTED = text("deleted_at IS NULL")
PAID = text("stage = 'paid'")
BOUGHT = text("coalesce(show_id, offer_id)")


class Order(Base):
    """One row per order; lock it before anything of the order is changed."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("organisation", "number"),
        # Pages of the table in each order it can be sorted, and its totals.
        Index(
            "ix_orders_listed",
            "organisation",
            "created_at",
            "id",
            postgresql_include=["stage", "currency", "paid", "refunded"],
            postgresql_where=LISTED,
        ),
        Index("ix_orders_by_total", "organisation", "total", "id", postgresql_where=LISTED),
        Index("ix_orders_by_stage", "organisation", text("coalesce(stage, '')"), "id", postgresql_where=LISTED),
        Index("ix_orders_by_number", "organisation", "number", "id", postgresql_where=LISTED),
        Index(None, "organisation", "stage", "created_at"),
        # Who has paid for the same before (ORD-36).
        Index("ix_orders_paid_email", "organisation", "customer_email", BOUGHT, postgresql_where=PAID),
        Index("ix_orders_paid_phone", "organisation", "customer_phone", BOUGHT, postgresql_where=PAID),
        Index(None, "organisation", "show_id"),
        Index(None, "organisation", "customer_email"),
        Index(None, "account_id"),
        Index("ix_orders_undelivered", "paid_at", postgresql_where=text("delivery = 'requested'")),
        Index("ix_orders_refund_due", "organisation", postgresql_where=text("refund_due > 0")),
        Index("ix_orders_disputed", "organisation", postgresql_where=text("disputed > 0")),
        Index(
            "ix_orders_mere_holds",
            "created_at",
            postgresql_where=text("hold_released AND (stage IS NULL OR stage = 'interested')"),
        ),
        Index("ix_orders_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_orders_unsearched", "id", postgresql_where=text("searched_as IS NULL")),
        Index("ix_orders_customer_sort", "organisation", "customer_sort", "id"),
        Index("ix_orders_title_sort", "organisation", "title_sort", "id"),
        *(
            Index(f"ix_orders_{of}_script", "organisation", text(f"({of}_sort < '~'::text)"), f"{of}_sort", "id")
            for of in ("customer", "title")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    number: Mapped[str]
    version: Mapped[int] = mapped_column(server_default="0")
    """Grows with every event and every edit: the ETag, and the version of the events."""

    stage: Mapped[str | None]
    payment_status: Mapped[str] = mapped_column(server_default="not_paid")
    """Derived from the payments by the process; kept to filter by."""
    payment_method: Mapped[str | None]
    delivery: Mapped[str] = mapped_column(server_default="nothing")
    sold: Mapped[bool] = mapped_column(server_default=text("false"))
    overpaid: Mapped[bool] = mapped_column(server_default=text("false"))
    hold_released: Mapped[bool] = mapped_column(server_default=text("false"))
    due_at: Mapped[datetime | None]
    """When the process must decide that a deadline has passed."""
    pay_by: Mapped[datetime | None]
    merged_into: Mapped[UUID | None]
    """The order that took over the hold of this one: the row only leads there, is in no list, and never comes back."""
    cancelled_from: Mapped[str | None]
    cancel_reason: Mapped[str | None]
    """One of `CancelReason`; what a person said is the note."""
    cancel_note: Mapped[str | None]

    currency: Mapped[str]
    total: Mapped[int] = mapped_column(server_default="0")
    paid: Mapped[int] = mapped_column(server_default="0")
    refunded: Mapped[int] = mapped_column(server_default="0")
    refund_due: Mapped[int] = mapped_column(server_default="0")
    """What staff must still send back by hand."""
    disputed: Mapped[int] = mapped_column(server_default="0")
    """Out of reach until banks have decided."""
    missing: Mapped[int] = mapped_column(server_default="0")
    """What the buyer still has to give."""

    customer_name: Mapped[str | None]
    customer_email: Mapped[str | None]
    """Normalised."""
    customer_phone: Mapped[str | None]
    customer_sort: Mapped[str] = mapped_column(Text(collation="C"), server_default="")
    title_sort: Mapped[str] = mapped_column(Text(collation="C"), server_default="")
    """Keys of `chassis.alphabets`."""
    searched_as: Mapped[str | None]
    """A digest of the text that the order is found by; none until that was kept."""
    account_id: Mapped[UUID | None]
    show_id: Mapped[UUID | None]
    offer_id: Mapped[UUID | None]
    title: Mapped[str] = mapped_column(server_default="")
    starts_at: Mapped[datetime | None]
    locale: Mapped[str] = mapped_column(server_default="en")
    source: Mapped[str] = mapped_column(server_default="site")
    """site, or manual where staff entered it (ORD-41)."""
    return_url: Mapped[str | None]
    documents: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """Signed links to the tickets, as ticketing gave them."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    placed_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    confirmed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    money_refunded_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str | None]

    lines: Mapped[list[OrderLine]] = relationship(
        lazy="raise", order_by="OrderLine.position", cascade="all, delete-orphan"
    )
    payments: Mapped[list[Payment]] = relationship(lazy="raise", order_by="Payment.id")
    refunds: Mapped[list[Refund]] = relationship(lazy="raise", order_by="Refund.created_at")

    def money(self, minor: int) -> Money:
        return Money(minor=minor, currency=self.currency)

    @property
    def is_free(self) -> bool:
        """It was bought for nothing: there is no payment, by card or otherwise."""
        return self.sold and not self.total

    @property
    def is_paid(self) -> bool:
        return self.stage == FunnelStage.PAID


class OrderLine(Base):
    __tablename__ = "order_lines"
    __table_args__ = (
        Index(None, "organisation", "participant_email"),
        Index("ix_order_lines_show_id", "show_id", postgresql_where=text("show_id IS NOT NULL")),
        Index(None, "organisation", "zone", "order_id"),
        Index(None, "organisation", "ticket_number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    position: Mapped[int]
    kind: Mapped[str]
    reference: Mapped[str] = mapped_column(index=True)
    title: Mapped[str]
    zone: Mapped[str | None]
    """The price zone of a seat: what people call the ticket of an offer (ORD-17)."""
    quantity: Mapped[int] = mapped_column(server_default="1")
    unit_price: Mapped[int]
    total: Mapped[int]
    participant_name: Mapped[str | None]
    participant_email: Mapped[str | None]
    participant_phone: Mapped[str | None]
    ticket_number: Mapped[str | None]
    given_by: Mapped[str]
    show_id: Mapped[UUID | None]
    hold_id: Mapped[UUID | None]
    fare: Mapped[str | None]
    fare_name: Mapped[str | None]
    discount: Mapped[int] = mapped_column(server_default="0")
    discount_reason: Mapped[str | None]
    tax: Mapped[int] = mapped_column(server_default="0")
    """Contained in `total`."""
    tax_rate: Mapped[str | None]
    """Percent, as a decimal number."""
    cost: Mapped[int | None]
    """What one of it costs the organisation."""
    given: Mapped[int] = mapped_column(server_default="0")
    returned: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(server_default="live")
    """Of what is left of it: see `process.line`, as for `given` and `returned`."""
    returns: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """Every `process.line.Return`, the oldest first."""


class Searched(search.Searched, Base):
    """What an order is found by: a row for each that somebody is named in, or that has a payment."""


class HistoryEntry(Base):
    """What was done to an order, by whom, when and why. Append-only (ORD-66)."""

    __tablename__ = "order_history"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    what: Mapped[str]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    version: Mapped[int]


class Note(Base):
    """Free text that staff attach to an order (ORD-47)."""

    __tablename__ = "notes"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    author: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
