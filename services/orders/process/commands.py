"""What the process asks for: events to publish, lines of the history, and entries of the ledger. All are carried out in
one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class About(StrEnum):
    """Order events that need nothing but the order."""

    INTERESTED = "interested"
    PLACED = "placed"
    PAID = "paid"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Tell:
    what: About


@dataclass(frozen=True, slots=True, kw_only=True)
class TellCancelled:
    was_paid: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeTickets:
    """The tickets of one hold."""

    request: UUID
    hold: UUID | None = None
    seats: tuple[str, ...]
    places: tuple[tuple[UUID, int], ...] = ()
    """Lines, and how many tickets of each."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaim:
    """Ticketing may sell the seats: nobody ordered them, and nobody can any more. It tells only of interest that is
    over, so the history has no line for it."""

    hold: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TellRefunded:
    refund: UUID
    amount: int
    line_ids: tuple[UUID, ...]
    full: bool


class Money(StrEnum):
    """Payment events."""

    STARTED = "started"
    HELD = "held"
    RECEIVED = "received"
    FAILED = "failed"
    REVERSED = "reversed"
    REFUND_DUE = "refund_due"
    """Money that came by hand must go back by hand: people have to send it."""
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    """For good, or after it was done: staff must look."""
    REFUND_WRITTEN_OFF = "refund_written_off"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class TellTakenBack:
    """Nothing of a paid order is left, and its money is on its way back: it is cancelled from now on (GAP-8)."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TellPayment:
    what: Money
    payment: UUID
    amount: int
    reason: str = ""
    refund: UUID | None = None
    dispute: UUID | None = None
    came_back: bool = False
    """Of a failed refund: it was done before, so the money is ours again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefundFailed:
    """For those who read the order's history; nobody else is told, as the money is still on its way."""

    refund: UUID
    payment: UUID
    amount: int
    reason: str


class Account(StrEnum):
    """Accounts of the ledger; every transaction's sum is zero."""

    HELD = "held"
    """Authorised at a provider, not yet ours."""
    CASH = "cash"
    """Received, at a provider or by hand."""
    DISPUTED = "disputed"
    """Taken by a bank until a dispute is decided."""
    BUYER = "buyer"
    """A credit is what a buyer gave and has not been given goods for, a debit what went back though the goods did not;
    zero when an order is settled."""
    SALES = "sales"
    WRITTEN_OFF = "written_off"
    """Owed to a buyer and never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Move `amount` into `debit` out of `credit`."""

    debit: Account
    credit: Account
    amount: int
    why: str
    payment: UUID | None = None


@dataclass(frozen=True, slots=True)
class OpenEnrolments:
    """The buyer of a course becomes a student (ORD-50)."""


Command = (
    Tell
    | TellCancelled
    | TellTakenBack
    | RevokeTickets
    | Unclaim
    | TellRefunded
    | TellPayment
    | RecordRefundFailed
    | Post
    | OpenEnrolments
)
Commands = tuple[Command, ...]
