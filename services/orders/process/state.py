"""The state of one order as the process sees it: what is bought, what was paid, what ticketing said.

Amounts are minor units of the order's one currency. What must still be asked of the provider is part of the state
(`Payment.wanted`, refunds not `done`), so a crash cannot lose it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process.line import Line, LineState, Return

__all__ = ["Line", "LineState", "Return"]

MANUAL = "manual"
"""The provider of payments that staff entered (ORD-48)."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class PaymentStage(StrEnum):
    """What is known of one payment: the fold of its payment events, never set by hand."""

    OPEN = "open"
    HELD = "held"
    RECEIVED = "received"
    FAILED = "failed"
    CANCELLED = "cancelled"


PAYABLE = (PaymentStage.OPEN, PaymentStage.FAILED)
"""The card page may still bring money: where one card was declined, the buyer can try another."""


class Wanted(StrEnum):
    """What must be asked of the provider, until it has answered."""

    CAPTURE = "capture"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    id: UUID
    provider: str
    asked: int
    stage: PaymentStage = PaymentStage.OPEN
    amount: int = 0
    """Held or received; refunds are not subtracted."""
    observed_at: datetime = LONG_AGO
    """When the provider was asked for what we know."""
    wanted: Wanted | None = None

    @property
    def counted(self) -> int:
        """The money that this payment gives to the order: a hold that we let go of gives none."""
        if self.stage is PaymentStage.RECEIVED:
            return self.amount
        return self.amount if self.stage is PaymentStage.HELD and self.wanted is not Wanted.CANCEL else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: UUID
    payment: UUID
    amount: int
    line_ids: tuple[UUID, ...] = ()
    """The lines it pays back; none for a surplus."""
    done: bool = False
    failures: int = 0


class Delivery(StrEnum):
    """How far ticketing came with the seats of a paid order."""

    NOTHING = "nothing"
    REQUESTED = "requested"
    ISSUED = "issued"
    REFUSED = "refused"


class CancelReason(StrEnum):
    """Why an order is cancelled. The process decides by it, so it never is what a person typed."""

    BY_BUYER = "by_buyer"
    BY_STAFF = "by_staff"
    DELETED = "deleted"
    HOLD_RELEASED = "hold_released"
    EXPIRED = "expired"
    """The only one after which a late payment is still welcome."""
    REFUNDED = "refunded"
    SEATS_UNAVAILABLE = "seats_unavailable"
    PAYMENT_LOST = "payment_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    stage: FunnelStage | None = None
    """None until the first event: events may come in any order."""
    lines: tuple[Line, ...] = ()
    payments: tuple[Payment, ...] = ()
    refunds: tuple[Refund, ...] = ()
    sold: bool = False
    """The order was paid once and its sale is in the ledger; lines that go are posted back."""
    delivery: Delivery = Delivery.NOTHING
    hold_released: bool = False
    due_at: datetime | None = None
    """When `DeadlinePassed` must be decided."""
    cancelled_from: FunnelStage | None = None
    """The stage before it was cancelled (GAP-8)."""
    cancel_reason: CancelReason | None = None

    @property
    def total(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def value(self) -> int:
        """What the buyer has, or will have, for money, and fees for what was taken back."""
        return sum(line.value for line in self.lines) if self.sold else 0

    @property
    def money(self) -> int:
        """Held and received, less refunds done and under way."""
        return sum(p.counted for p in self.payments) - sum(r.amount for r in self.refunds)

    @property
    def received(self) -> int:
        return sum(p.amount for p in self.payments if p.stage is PaymentStage.RECEIVED)

    @property
    def refunded(self) -> int:
        return sum(r.amount for r in self.refunds if r.done)

    @property
    def due_by_hand(self) -> int:
        """What people must still send back: money that came by hand."""
        return sum(r.amount for r in self.refunds if not r.done and self.by_hand(r))

    def by_hand(self, refund: Refund) -> bool:
        payment = self.payment(refund.payment)
        return payment is not None and payment.provider == MANUAL

    @property
    def overpaid(self) -> bool:
        """Money came twice, and the surplus, which goes back by itself, has not all gone back yet."""
        given = sum(p.amount for p in self.payments if p.stage in (PaymentStage.HELD, PaymentStage.RECEIVED))
        return self.stage is FunnelStage.PAID and given - self.refunded > self.total

    @property
    def has_tickets(self) -> bool:
        return any(line.is_ticket for line in self.lines)

    @property
    def delivered(self) -> bool:
        """Ticketing has answered for every hold: the tickets exist, or their lines are gone."""
        return self.sold and (self.delivery in (Delivery.ISSUED, Delivery.REFUSED) or not self.has_tickets)

    @property
    def all_gone(self) -> bool:
        return all(line.state is LineState.GONE for line in self.lines)

    @property
    def payment_status(self) -> PaymentStatus:
        """ORD-88..91. Part of the money returned must not look like all of it, nor a returned surplus like a refund."""
        remaining = self.received - self.refunded
        if self.received and remaining <= 0:
            return PaymentStatus.MONEY_REFUNDED
        if self.received and self.refunded and remaining < self.total:
            return PaymentStatus.PARTIALLY_REFUNDED
        if self.received or (self.sold and not self.total):
            return PaymentStatus.MONEY_RECEIVED
        return PaymentStatus.HOLD if any(p.counted for p in self.payments) else PaymentStatus.NOT_PAID

    def payment(self, payment_id: UUID) -> Payment | None:
        return next((p for p in self.payments if p.id == payment_id), None)

    def refunded_of(self, payment_id: UUID) -> int:
        return sum(r.amount for r in self.refunds if r.payment == payment_id)
