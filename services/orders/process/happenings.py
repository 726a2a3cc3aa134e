"""What can happen to an order: facts that others report, in any order and any number of times, and what people ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from contracts.orders import FunnelStage
from services.orders.process.line import Line
from services.orders.process.state import CancelReason, DisputeStage, PaymentStage


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced:
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldExtended:
    pay_by: datetime | None = None
    """Set by staff who give the order more time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLapsed:
    """The period ran out. Ticketing keeps the seats until it hears that nobody ordered them."""

    hold: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased:
    by_expiry: bool
    """The period ran out; otherwise a person let go of the seats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """A person wants it, or wants it cheaper: a record for staff, that nothing follows from (ORD-31, ORD-32)."""

    lines: tuple[Line, ...]
    stage: Literal[FunnelStage.WISHLIST, FunnelStage.WATCHING_PRICE]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedOut:
    """A person asked to pay: for the seats of a signed quote, or staff entered an order (ORD-29, ORD-44)."""

    lines: tuple[Line, ...]
    pay_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChanged:
    """The buyer of a placed order wants to pay in another way, which has a deadline of its own."""

    pay_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOpened:
    payment_id: UUID
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSeen:
    """The provider's authoritative state of a payment; `observed_at` is when it was asked, before it answered."""

    payment_id: UUID
    stage: PaymentStage
    amount: int
    observed_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesUnwanted:
    """Staff are about to enter a payment: the card pages that nobody has paid yet are to be closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPaid:
    """Staff have the money (ORD-48, ORD-51): a part, all of it, or too much; None is all that is missing."""

    payment_id: UUID
    at: datetime
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryReversed:
    """Staff entered a payment by mistake: there never was any money."""

    payment_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """ORD-52, ORD-53."""

    request_id: UUID
    reason: CancelReason
    note: str = ""
    """What the person said about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAsked:
    """Some of a line back, or all that is left of it; or, with `amount`, money alone."""

    line_id: UUID
    quantity: int | None = None
    fee: int = 0
    """Kept of the price of what goes back."""
    amount: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAsked:
    """ORD-57; without parts and lines it is the whole order."""

    request_id: UUID
    line_ids: tuple[UUID, ...] | None = None
    """Whole lines."""
    parts: tuple[PartAsked, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlinePassed:
    now: datetime
    grace_until: datetime
    """How long the open payments of an expired order are left to arrive late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsIssued:
    hold: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRefused:
    hold: UUID | None = None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsVoided:
    hold: UUID | None = None
    request_id: UUID
    seats: tuple[str, ...]
    places: tuple[tuple[UUID, int], ...] = ()
    """Lines, and how many tickets of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundDone:
    """The provider has carried out an attempt to give money back; `attempt` is the number of failures before it."""

    refund_id: UUID
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundConfirmed:
    """Staff have sent back money that came by hand, or that the provider refused to send."""

    refund_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundWrittenOff:
    """Staff say that the money will never be sent."""

    refund_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFailed:
    """The provider refused an attempt, or took it back days after it was done. `final`: trying again is of no use."""

    refund_id: UUID
    attempt: int
    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSeen:
    """A refund that the order did not ask for: somebody made it at the provider's dashboard. `stands` is False once it
    has failed there."""

    payment_id: UUID
    refund_id: UUID
    amount: int
    stands: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeSeen:
    """The provider's authoritative state of a dispute over money that it has taken."""

    payment_id: UUID
    dispute_id: UUID
    amount: int
    stage: DisputeStage
    reason: str = ""


Happening = (
    HoldPlaced
    | HoldExtended
    | HoldLapsed
    | HoldReleased
    | Wished
    | CheckedOut
    | MethodChanged
    | PaymentOpened
    | PaymentSeen
    | PagesUnwanted
    | MarkedPaid
    | EntryReversed
    | CancelAsked
    | RefundAsked
    | DeadlinePassed
    | TicketsIssued
    | ConversionRefused
    | TicketsVoided
    | RefundDone
    | RefundConfirmed
    | RefundWrittenOff
    | RefundFailed
    | RefundSeen
    | DisputeSeen
)
