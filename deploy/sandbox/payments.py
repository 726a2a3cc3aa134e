"""A card payment as the bank sees it: plain rules, without storage or network."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.cards import BY_NAME, Card, Outcome, RefundOutcome
from deploy.sandbox.settings import SandboxSettings


class Refused(Exception):
    """The bank says no. `status` is HTTP's, `code` is stable and meant for programs."""

    def __init__(self, code: str, message: str, status: int = 409) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Amount(BaseModel):
    """An amount in the currency's minor unit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minor: int = Field(gt=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Status(StrEnum):
    OPEN = "open"
    CONFIRMING = "confirming"
    HELD = "held"
    RECEIVED = "received"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


PAYABLE = (Status.OPEN, Status.CONFIRMING, Status.FAILED)
"""A declined card can be tried again, or another one, on the same page."""


class Refund(BaseModel):
    id: str
    amount: Amount
    status: Literal["pending", "done", "failed"]
    reason: str = ""
    due_at: float | None = None
    """When a pending refund is settled."""
    reference: str = ""
    """The shop's own id of the refund; empty if a person made it at the dashboard."""


class Dispute(BaseModel):
    """A buyer asks the bank for the money, which the bank takes until it has decided."""

    id: str
    amount: Amount
    status: Literal["open", "won", "lost"]
    reason: str


class Payment(BaseModel):
    """Times are seconds since 1970. `captured` and `refunded` are minor units that really moved."""

    id: str
    reference: str
    amount: Amount
    description: str = ""
    return_url: str
    webhook_url: str | None = None
    capture: Literal["automatic", "manual"] = "automatic"
    locale: str = "en"
    status: Status = Status.OPEN
    reason: str = ""
    card: str = ""
    captured: int = 0
    refunds: list[Refund] = []
    disputes: list[Dispute] = []
    created_at: float
    due_at: float | None
    """When the card page closes, the hold lapses or the next pending refund is settled."""
    behaviour: Behaviour | None = None

    @property
    def refunded(self) -> int:
        return sum(refund.amount.minor for refund in self.refunds if refund.status == "done")

    @property
    def refundable(self) -> int:
        """What is left to give back: pending refunds count as given, and what a bank has taken is gone."""
        taken = sum(dispute.amount.minor for dispute in self.disputes if dispute.status != "won")
        given = sum(refund.amount.minor for refund in self.refunds if refund.status != "failed")
        return self.captured - given - taken


def pay(payment: Payment, card: Card, settings: SandboxSettings, now: float) -> list[str]:
    """A card was entered on the page. Answers the types of the events that follow."""
    _require_payable(payment)
    payment.card = card.name
    payment.reason = ""
    if card.outcome is Outcome.DECLINE:
        return _decline(payment, card.reason)
    if card.outcome is Outcome.CONFIRM:
        payment.status = Status.CONFIRMING
        return []
    return _authorise(payment, card, settings, now)


def confirm(payment: Payment, approved: bool, settings: SandboxSettings, now: float) -> list[str]:
    """The buyer answered the bank's extra question."""
    if payment.status is not Status.CONFIRMING:
        raise Refused("not_confirming", f"nothing is to be confirmed, the payment is {payment.status}")
    if not approved:
        return _decline(payment, "authentication_failed")
    return _authorise(payment, BY_NAME[payment.card], settings, now)


def _require_payable(payment: Payment) -> None:
    if payment.status not in PAYABLE:
        raise Refused("not_payable", f"the payment is {payment.status}")


def _decline(payment: Payment, reason: str) -> list[str]:
    payment.status = Status.FAILED
    payment.reason = reason
    return ["payment.failed"]


def _authorise(payment: Payment, card: Card, settings: SandboxSettings, now: float) -> list[str]:
    if payment.capture == "manual" or card.outcome in (Outcome.HOLD, Outcome.HOLD_EXPIRES):
        short = card.outcome is Outcome.HOLD_EXPIRES
        payment.status = Status.HELD
        payment.due_at = now + (settings.short_hold_seconds if short else settings.hold_seconds)
        return ["payment.held"]
    return _receive(payment, payment.amount.minor)


def _receive(payment: Payment, minor: int) -> list[str]:
    payment.status = Status.RECEIVED
    payment.captured = minor
    payment.due_at = None
    return ["payment.received"]


def capture(payment: Payment, minor: int | None) -> list[str]:
    """Takes held money, all or part of it once; what is left goes back to the card."""
    if payment.status is not Status.HELD:
        raise Refused("not_held", f"only held money can be captured, the payment is {payment.status}")
    minor = payment.amount.minor if minor is None else minor
    if minor > payment.amount.minor:
        raise Refused("too_much", f"only {payment.amount.minor} is held", 422)
    return _receive(payment, minor)


def cancel(payment: Payment) -> list[str]:
    """Closes the page or lets held money go. Received money is refunded, not cancelled."""
    if payment.status in (Status.CANCELLED, Status.EXPIRED):
        return []
    if payment.status is Status.RECEIVED:
        raise Refused("already_received", "received money is refunded, not cancelled")
    payment.status = Status.CANCELLED
    payment.due_at = None
    return ["payment.cancelled"]


def refund(
    payment: Payment, minor: int | None, reason: str, settings: SandboxSettings, now: float, reference: str = ""
) -> tuple[Refund, list[str]]:
    """Gives received money back, all that is left when `minor` is None."""
    if payment.status is not Status.RECEIVED:
        raise Refused("not_received", f"only received money can be refunded, the payment is {payment.status}")
    minor = payment.refundable if minor is None else minor
    if not 0 < minor <= payment.refundable:
        raise Refused("refund_exceeds_received", f"{payment.refundable} is left to refund, not {minor}")
    at_once = BY_NAME[payment.card].refunds is RefundOutcome.AT_ONCE
    made = Refund(
        id=f"re_{uuid4().hex}",
        amount=Amount(minor=minor, currency=payment.amount.currency),
        status="done" if at_once else "pending",
        reason=reason,
        due_at=None if at_once else now + settings.refund_seconds,
        reference=reference,
    )
    payment.refunds.append(made)
    _next_refund(payment)
    return made, ["refund.done"] if at_once else []


def fail_refund(payment: Payment, refund_id: str, reason: str) -> list[str]:
    """A refund fails days after it was done: the account was closed, and the bank sends the money back."""
    made = next((refund for refund in payment.refunds if refund.id == refund_id), None)
    if made is None:
        raise Refused("not_found", "the payment has no such refund", 404)
    if made.status == "failed":
        return []
    made.status, made.reason, made.due_at = "failed", reason, None
    _next_refund(payment)
    return ["refund.failed"]


def dispute(payment: Payment, minor: int | None, reason: str) -> tuple[Dispute, list[str]]:
    """The buyer asks the bank for received money, all that is left when `minor` is None."""
    if payment.status is not Status.RECEIVED:
        raise Refused("not_received", f"only received money can be disputed, the payment is {payment.status}")
    minor = payment.refundable if minor is None else minor
    if not 0 < minor <= payment.refundable:
        raise Refused("dispute_exceeds_received", f"{payment.refundable} is left to dispute, not {minor}")
    amount = Amount(minor=minor, currency=payment.amount.currency)
    opened = Dispute(id=f"dp_{uuid4().hex}", amount=amount, status="open", reason=reason)
    payment.disputes.append(opened)
    return opened, ["dispute.opened"]


def decide_dispute(payment: Payment, dispute_id: str, won: bool) -> tuple[Dispute, list[str]]:
    """The bank has decided: for the shop (`won`), or for the buyer."""
    found = next((one for one in payment.disputes if one.id == dispute_id), None)
    if found is None:
        raise Refused("not_found", "the payment has no such dispute", 404)
    if found.status != "open":
        raise Refused("already_decided", f"the dispute was {found.status}")
    found.status = "won" if won else "lost"
    return found, [f"dispute.{found.status}"]


def pass_time(payment: Payment, now: float) -> list[str]:
    """What the clock does: pages close, holds lapse, pending refunds are settled."""
    if payment.due_at is None or payment.due_at > now:
        return []
    if payment.status is Status.RECEIVED:
        return _settle_refunds(payment, now)
    payment.reason = "hold_expired" if payment.status is Status.HELD else "page_expired"
    payment.status = Status.EXPIRED
    payment.due_at = None
    return ["payment.expired"]


def _settle_refunds(payment: Payment, now: float) -> list[str]:
    fails = BY_NAME[payment.card].refunds is RefundOutcome.FAILS_LATER
    events = []
    for pending in payment.refunds:
        if pending.due_at is None or pending.due_at > now:
            continue
        pending.due_at = None
        pending.status = "failed" if fails else "done"
        if fails:
            pending.reason = "account_closed"
        events.append(f"refund.{pending.status}")
    _next_refund(payment)
    return events


def _next_refund(payment: Payment) -> None:
    payment.due_at = min((refund.due_at for refund in payment.refunds if refund.due_at is not None), default=None)
