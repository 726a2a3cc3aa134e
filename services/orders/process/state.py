"""The state of one order as the process sees it: what is bought, what was paid, what ticketing said.

Amounts are minor units of the order's one currency. What must still be asked of the provider is part of the state
(`Payment.wanted`, refunds not `done`), so a crash cannot lose it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    REVERSED = "reversed"
    """Entered by mistake: staff never had the money."""


PAYABLE = (PaymentStage.OPEN, PaymentStage.FAILED)
"""The card page may still bring money: where one card was declined, the buyer can try another."""


class Wanted(StrEnum):
    """What must be asked of the provider, until it has answered."""

    CAPTURE = "capture"
    CANCEL = "cancel"


class DisputeStage(StrEnum):
    OPEN = "open"
    """The provider has taken the money until a bank has decided."""
    LOST = "lost"
    WON = "won"
    """Also after it was lost: banks reverse themselves. Nothing follows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A buyer asks the bank for the money of a payment."""

    id: UUID
    amount: int
    stage: DisputeStage
    reason: str = ""


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
    disputes: tuple[Dispute, ...] = ()

    @property
    def disputed(self) -> int:
        """Out of reach until a bank has decided: it cannot be refunded meanwhile."""
        return sum(d.amount for d in self.disputes if d.stage is DisputeStage.OPEN)

    @property
    def counted(self) -> int:
        """The money that this payment gives to the order: a hold that we let go of gives none."""
        if self.stage is PaymentStage.RECEIVED:
            return self.amount
        return self.amount if self.stage is PaymentStage.HELD and self.wanted is not Wanted.CANCEL else 0


class RefundStage(StrEnum):
    PENDING = "pending"
    DONE = "done"
    """By the provider."""
    REFUSED = "refused"
    """For good, by the provider: the money is still owed, and people send it in another way."""
    SENT = "sent"
    """By people, who have said so."""
    WRITTEN_OFF = "written_off"
    """It will never be sent: there is nobody to send it to."""
    WITHDRAWN = "withdrawn"
    """Not owed any more, or it came back."""


class Origin(StrEnum):
    """Who made a refund."""

    ORDER = "order"
    """The process itself: what is too much goes back."""
    PROVIDER = "provider"
    """Somebody at the provider's dashboard. A fact: nobody asked the order first."""
    DISPUTE = "dispute"
    """A bank, when a dispute was lost."""


GONE_BACK = (RefundStage.DONE, RefundStage.SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: UUID
    payment: UUID
    amount: int
    line_ids: tuple[UUID, ...] = ()
    """The lines it pays back; none for a surplus."""
    stage: RefundStage = RefundStage.PENDING
    origin: Origin = Origin.ORDER
    failures: int = 0

    @property
    def done(self) -> bool:
        """The buyer has the money."""
        return self.stage in GONE_BACK

    @property
    def counted(self) -> int:
        """What it takes of the order's money: a refund that was withdrawn takes none."""
        return 0 if self.stage is RefundStage.WITHDRAWN else self.amount


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
    ENTRY_REVERSED = "entry_reversed"
    """Staff had marked it as paid by mistake."""
    DISPUTE_LOST = "dispute_lost"


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
        """Held and received, less refunds done and under way. What is disputed counts until the dispute is lost."""
        return sum(p.counted for p in self.payments) - sum(r.counted for r in self.refunds)

    @property
    def received(self) -> int:
        return sum(p.amount for p in self.payments if p.stage is PaymentStage.RECEIVED)

    @property
    def refunded(self) -> int:
        return sum(r.amount for r in self.refunds if r.done)

    @property
    def due_by_hand(self) -> int:
        """What people must still send back: money that came by hand, and what a provider refused for good."""
        return sum(r.amount for r in self.refunds if self.by_hand(r))

    def by_hand(self, refund: Refund) -> bool:
        """Whether people must send it, and have not yet."""
        if refund.stage is RefundStage.REFUSED:
            return True
        payment = self.payment(refund.payment)
        return refund.stage is RefundStage.PENDING and payment is not None and payment.provider == MANUAL

    @property
    def disputed(self) -> int:
        return sum(p.disputed for p in self.payments)

    @property
    def missing(self) -> int:
        """What a buyer still has to give: for an order that awaits payment, or one whose money went back though its
        goods did not."""
        if self.stage is FunnelStage.AWAITING_PAYMENT:
            return max(self.total - self.money, 0)
        return max(self.value - self.money, 0) if self.sold else 0

    def refund(self, refund_id: UUID) -> Refund | None:
        return next((r for r in self.refunds if r.id == refund_id), None)

    @property
    def overpaid(self) -> bool:
        """Money came twice, and the surplus, which goes back by itself, has not all gone back yet."""
        given = sum(p.amount for p in self.payments if p.stage in (PaymentStage.HELD, PaymentStage.RECEIVED))
        settled = sum(r.amount for r in self.refunds if r.done or r.stage is RefundStage.WRITTEN_OFF)
        return self.stage is FunnelStage.PAID and given - settled > self.total

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
        """Gone back, on its way, or owed."""
        return sum(r.counted for r in self.refunds if r.payment == payment_id)

    def with_refund(self, refund: Refund) -> State:
        return replace(self, refunds=tuple(refund if r.id == refund.id else r for r in self.refunds))
