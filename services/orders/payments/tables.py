"""Payments and refunds, the log they are derived from, and the double-entry ledger."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ForeignKey, Identity, Index, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.base import Base
from services.orders.process.state import GONE_BACK


class Payment(Base):
    """One attempt to pay. `stage` and `amount` are the fold of its payment events, `wanted` what to ask next."""

    __tablename__ = "payments"
    __table_args__ = (
        UniqueConstraint("provider", "reference"),
        Index("ix_payments_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    provider: Mapped[str]
    reference: Mapped[str | None]
    """The provider's id; None until it has answered."""
    redirect_url: Mapped[str | None]
    asked: Mapped[int]
    currency: Mapped[str]
    stage: Mapped[str]
    amount: Mapped[int] = mapped_column(server_default="0")
    observed_at: Mapped[datetime]
    reason: Mapped[str | None]
    wanted: Mapped[str | None]
    wanted_since: Mapped[datetime | None]
    disputes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """What buyers asked their banks for: id, amount, stage, reason, and when each stage was heard of."""
    receipt: Mapped[str | None]
    """Of money that staff took: the reference of the transfer, or the number of the receipt."""
    value_date: Mapped[date | None]
    """The day on which the bank booked it, or it was put into the cash desk."""
    account: Mapped[str | None]
    """The bank account or cash desk that has it."""
    due_at: Mapped[datetime | None]
    """When to ask the provider again."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class PaymentEvent(Base):
    """What was learnt of a payment, and from where. Append-only: payment status is derived from this log."""

    __tablename__ = "payment_events"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"))
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    stage: Mapped[str]
    amount: Mapped[int]
    source: Mapped[str]
    """webhook, return, poll, job, staff or buyer."""
    reason: Mapped[str | None]
    observed_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class WebhookEvent(Base):
    """Webhooks that were processed: a provider sends the same one more than once."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index(None, "received_at"),)

    provider: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[UUID | None]
    """None where the payment is not ours: kept for whoever looks into it."""
    payment_id: Mapped[UUID | None]
    reference: Mapped[str]
    kind: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Refund(Base):
    """Money that must go back, until it has."""

    __tablename__ = "refunds"
    __table_args__ = (
        Index("ix_refunds_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_refunds_open", "created_at", postgresql_where=text("stage IN ('pending', 'refused')")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"))
    amount: Mapped[int]
    line_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    stage: Mapped[str] = mapped_column(server_default="pending")
    origin: Mapped[str] = mapped_column(server_default="order")
    failures: Mapped[int] = mapped_column(server_default="0")
    """Definite refusals: each is followed by a new attempt under a new idempotency key."""
    attempts: Mapped[int] = mapped_column(server_default="0")
    reference: Mapped[str | None]
    reason: Mapped[str | None]
    """Why the provider refused, or why staff wrote it off."""
    value_date: Mapped[date | None]
    """Of a transfer by which staff sent it."""
    due_at: Mapped[datetime | None]
    """When to ask the provider; none while staff must send the money, and once it is done."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    done_at: Mapped[datetime | None]

    @property
    def done(self) -> bool:
        return self.stage in GONE_BACK


class LedgerEntry(Base):
    """Half of a posting; the entries of one `transaction_id` add up to zero, which the database enforces at commit."""

    __tablename__ = "ledger"
    __table_args__ = (Index(None, "organisation", "account", "currency"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    transaction_id: Mapped[UUID] = mapped_column(index=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    payment_id: Mapped[UUID | None]
    account: Mapped[str]
    amount: Mapped[int]
    """Positive is a debit."""
    currency: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
