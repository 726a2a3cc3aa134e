"""What can happen to the order of two seats, a payment and a second one, for tables of histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from contracts.orders import LineKind
from services.orders.process import State, decide
from services.orders.process import happenings as h
from services.orders.process.commands import Command, Post
from services.orders.process.state import CancelReason, Line, PaymentStage

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(hours=1)
A, B = UUID(int=1), UUID(int=2)
P, Q, R, R2 = UUID(int=11), UUID(int=12), UUID(int=21), UUID(int=22)
SEATS = (Line(id=A, reference="seat-a", amount=100), Line(id=B, reference="seat-b", amount=250))
COURSE = (Line(id=A, reference="course", amount=100, kind=LineKind.COURSE),)
MIXED = (SEATS[0], Line(id=B, reference="course", amount=250, kind=LineKind.COURSE))

HOLD = h.HoldPlaced(lines=SEATS)
CHECKOUT = h.CheckedOut(lines=SEATS, pay_by=T0)
OPEN_P, OPEN_Q = (h.PaymentOpened(payment_id=p, provider="sandbox") for p in (P, Q))
DEADLINE = h.DeadlinePassed(now=T0, grace_until=LATER)
AFTER_GRACE = h.DeadlinePassed(now=LATER, grace_until=LATER + timedelta(hours=1))
ISSUED = h.TicketsIssued()
REFUSED = h.ConversionRefused(reason="taken")
CANCEL = h.CancelAsked(request_id=R, reason=CancelReason.BY_STAFF, note="by staff")
REFUND_ALL = h.RefundAsked(request_id=R)
REFUND_A = h.RefundAsked(request_id=R, line_ids=(A,))
REFUND_B = h.RefundAsked(request_id=R2, line_ids=(B,))
MARK_PAID = h.MarkedPaid(payment_id=Q, at=T0)
VOIDED = h.TicketsVoided(request_id=R, seats=("seat-a", "seat-b"))
VOIDED_A = h.TicketsVoided(request_id=R, seats=("seat-a",))
VOIDED_B = h.TicketsVoided(request_id=R2, seats=("seat-b",))
LET_GO, LAPSED = (h.HoldReleased(by_expiry=expiry) for expiry in (False, True))


def seen(stage: PaymentStage, payment: UUID = P, at: int = 1, amount: int = 350) -> h.PaymentSeen:
    return h.PaymentSeen(payment_id=payment, stage=stage, amount=amount, observed_at=T0 + timedelta(seconds=at))


HELD = seen(PaymentStage.HELD)
RECEIVED = seen(PaymentStage.RECEIVED, at=2)
FAILED = seen(PaymentStage.FAILED, at=3)
PLACED = (HOLD, CHECKOUT, OPEN_P)
PAID = (*PLACED, RECEIVED)
CONFIRMED = (*PAID, ISSUED)
PAID_MIXED = (h.CheckedOut(lines=MIXED, pay_by=T0), OPEN_P, RECEIVED)


def run(*history: h.Happening) -> tuple[State, tuple[Command, ...]]:
    """The state after a history, and all that its last event asks for."""
    state = State()
    commands: tuple[Command, ...] = ()
    for happening in history:
        state, commands = decide(state, happening)
    return state, commands


def after(*history: h.Happening) -> tuple[State, list[Command]]:
    """The state after a history, and the messages (not the ledger entries) of its last event."""
    state, commands = run(*history)
    return state, [c for c in commands if not isinstance(c, Post)]


def refund_done(*history: h.Happening, number: int = -1) -> h.RefundDone:
    refund = after(*history)[0].refunds[number]
    return h.RefundDone(refund_id=refund.id, attempt=refund.failures)
