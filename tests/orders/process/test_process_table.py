"""The order process as a table: each row is a history, and what its last event changes and tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import NotPossible, State, decide
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    Command,
    Money,
    OpenEnrolments,
    Post,
    RecordRefundFailed,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
)
from services.orders.process.state import CancelReason, Delivery, Line, PaymentStage, Wanted

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(hours=1)
A, B = UUID(int=1), UUID(int=2)
P, Q, R = UUID(int=11), UUID(int=12), UUID(int=21)
SEATS = (Line(id=A, reference="seat-a", amount=100), Line(id=B, reference="seat-b", amount=250))
COURSE = (Line(id=A, reference="course", amount=100, is_seat=False),)

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
MARK_PAID = h.MarkedPaid(payment_id=Q, at=T0)
VOIDED = h.TicketsVoided(request_id=R, seats=("seat-a", "seat-b"))
VOIDED_A = h.TicketsVoided(request_id=R, seats=("seat-a",))


def seen(stage: PaymentStage, payment: UUID = P, at: int = 1, amount: int = 350) -> h.PaymentSeen:
    return h.PaymentSeen(payment_id=payment, stage=stage, amount=amount, observed_at=T0 + timedelta(seconds=at))


HELD = seen(PaymentStage.HELD)
RECEIVED = seen(PaymentStage.RECEIVED, at=2)
FAILED = seen(PaymentStage.FAILED, at=3)
PLACED = (HOLD, CHECKOUT, OPEN_P)
PAID = (*PLACED, RECEIVED)
CONFIRMED = (*PAID, ISSUED)


def after(*history: h.Happening) -> tuple[State, list[Command]]:
    """The state after a history, and the messages (not the ledger entries) of its last event."""
    state = State()
    commands: tuple[Command, ...] = ()
    for happening in history:
        state, commands = decide(state, happening)
    return state, [c for c in commands if not isinstance(c, Post)]


def refund_done(*history: h.Happening) -> h.RefundDone:
    return h.RefundDone(refund_id=after(*history)[0].refunds[-1].id)


TABLE: list[tuple[str, tuple[h.Happening, ...], FunnelStage | None, list[Command]]] = [
    ("a hold is interest", (HOLD,), FunnelStage.INTERESTED, [Tell(About.INTERESTED)]),
    ("the same hold twice", (HOLD, HOLD), FunnelStage.INTERESTED, []),
    ("checkout before its hold", (CHECKOUT,), FunnelStage.AWAITING_PAYMENT, [Tell(About.PLACED)]),
    ("the hold comes after", (CHECKOUT, HOLD), FunnelStage.AWAITING_PAYMENT, []),
    ("interest may lapse", (HOLD, h.HoldReleased(by_expiry=True)), FunnelStage.INTERESTED, []),
    ("a hold let go cancels", (*PLACED, h.HoldReleased(by_expiry=False)), FunnelStage.CANCELLED,
     [TellCancelled(was_paid=False, reason="hold_released")]),
    ("a hold expired waits for the money", (*PLACED, h.HoldReleased(by_expiry=True)),
     FunnelStage.AWAITING_PAYMENT, []),
    ("held money pays", (*PLACED, HELD), FunnelStage.PAID,
     [TellPayment(what=Money.HELD, payment=P, amount=350), Tell(About.PAID)]),
    ("received money pays", PAID, FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=P, amount=350), Tell(About.PAID)]),
    ("webhook and return", (*PAID, RECEIVED), FunnelStage.PAID, []),
    ("tickets confirm", CONFIRMED, FunnelStage.PAID, [Tell(About.CONFIRMED)]),
    ("tickets twice", (*CONFIRMED, ISSUED), FunnelStage.PAID, []),
    ("not paid in time", (*PLACED, DEADLINE), FunnelStage.CANCELLED, [Tell(About.EXPIRED)]),
    ("the deadline twice", (*PLACED, DEADLINE, DEADLINE), FunnelStage.CANCELLED, []),
    ("the deadline of a paid order", (*PAID, DEADLINE), FunnelStage.PAID, []),
    ("money after expiry asks for the seats", (*PLACED, DEADLINE, RECEIVED), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=P, amount=350), Tell(About.PAID)]),
    ("no tickets to be had", (*PAID, REFUSED), FunnelStage.CANCELLED,
     [TellCancelled(was_paid=True, reason="seats_unavailable")]),
    ("refused twice", (*PAID, REFUSED, REFUSED), FunnelStage.CANCELLED, []),
    ("refused after issued", (*CONFIRMED, REFUSED), FunnelStage.PAID, []),
    ("cancel unpaid: nobody is told", (*PLACED, CANCEL), FunnelStage.CANCELLED,
     [TellCancelled(was_paid=False, reason="by staff")]),
    ("cancel paid: tickets first", (*CONFIRMED, CANCEL), FunnelStage.CANCELLED,
     [RevokeTickets(request=R, seats=("seat-a", "seat-b"), reason="cancelled"),
      TellCancelled(was_paid=True, reason="by staff")]),
    ("refund in part: one ticket", (*CONFIRMED, REFUND_A), FunnelStage.PAID,
     [RevokeTickets(request=R, seats=("seat-a",), reason="refunded")]),
    ("refund all", (*CONFIRMED, REFUND_ALL), FunnelStage.CANCELLED,
     [RevokeTickets(request=R, seats=("seat-a", "seat-b"), reason="refunded"), TellTakenBack(reason="refunded")]),
    ("another method", (*PLACED, h.MethodChanged(pay_by=LATER)), FunnelStage.AWAITING_PAYMENT, [Tell(About.CHANGED)]),
    ("staff give more time", (*PLACED, h.HoldExtended(pay_by=LATER)), FunnelStage.AWAITING_PAYMENT,
     [Tell(About.CHANGED)]),
    ("and then it has not expired", (*PLACED, h.HoldExtended(pay_by=LATER), DEADLINE),
     FunnelStage.AWAITING_PAYMENT, []),
    ("never less time", (*PLACED, h.HoldExtended(pay_by=T0)), FunnelStage.AWAITING_PAYMENT, []),
    ("a prolongation of ticketing's", (*PLACED, h.HoldExtended()), FunnelStage.AWAITING_PAYMENT, []),
    ("more time for a paid order", (*PAID, h.HoldExtended(pay_by=LATER)), FunnelStage.PAID, []),
    ("marked paid", (*PLACED, MARK_PAID), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=Q, amount=350), Tell(About.PAID)]),
    ("a course is delivered at once",
     (h.CheckedOut(lines=COURSE, pay_by=T0), h.MarkedPaid(payment_id=Q, at=T0)), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=Q, amount=100), Tell(About.PAID), OpenEnrolments(),
      Tell(About.CONFIRMED)]),
    ("declined", (*PLACED, FAILED), FunnelStage.AWAITING_PAYMENT,
     [TellPayment(what=Money.FAILED, payment=P, amount=350, reason="failed")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "stage", "told"), TABLE, ids=[row[0] for row in TABLE])
def test_table(name: str, history: tuple[h.Happening, ...], stage: FunnelStage, told: list[Command]) -> None:
    state, commands = after(*history)
    assert state.stage == stage
    assert commands == told


def test_money_goes_back_only_when_the_tickets_are_void() -> None:
    asked, _ = after(*CONFIRMED, REFUND_A)
    assert asked.refunds == ()
    voided, _ = after(*CONFIRMED, REFUND_A, VOIDED_A)
    assert [(r.payment, r.amount, r.line_ids) for r in voided.refunds] == [(P, 100, (A,))]
    again, _ = after(*CONFIRMED, REFUND_A, VOIDED_A, VOIDED_A)
    assert again.refunds == voided.refunds


def test_a_refund_in_part_does_not_look_like_a_full_one() -> None:
    history = (*CONFIRMED, REFUND_A, VOIDED_A)
    state, told = after(*history, refund_done(*history))
    assert state.payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert isinstance(told[-1], TellRefunded)
    assert (told[-1].amount, told[-1].full) == (100, False)


def test_a_full_refund_is_told_once() -> None:
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    done = refund_done(*history)
    state, told = after(*history, done)
    assert state.payment_status is PaymentStatus.MONEY_REFUNDED
    assert isinstance(told[-1], TellRefunded)
    assert told[-1].full
    assert after(*history, done, done)[1] == []


def test_what_came_by_hand_goes_back_when_staff_say_so() -> None:
    history = (*PLACED, MARK_PAID, ISSUED, REFUND_ALL, VOIDED)
    state, told = after(*history)
    (refund,) = state.refunds
    assert told == [TellPayment(what=Money.REFUND_DUE, payment=Q, amount=350, refund=refund.id)]
    assert (state.due_by_hand, state.refunded, state.payment_status) == (350, 0, PaymentStatus.MONEY_RECEIVED)
    confirmed = h.RefundConfirmed(refund_id=refund.id)
    state, told = after(*history, confirmed)
    assert (state.due_by_hand, state.payment_status) == (0, PaymentStatus.MONEY_REFUNDED)
    assert isinstance(told[-1], TellRefunded)
    with pytest.raises(NotPossible, match="already"):
        after(*history, confirmed, confirmed)


def test_what_came_by_card_is_confirmed_by_the_provider_alone() -> None:
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    with pytest.raises(NotPossible):
        after(*history, h.RefundConfirmed(refund_id=refund_done(*history).refund_id))


def test_two_payments_at_once_give_the_surplus_back() -> None:
    history = (*PLACED, OPEN_Q, RECEIVED, seen(PaymentStage.RECEIVED, Q, at=3))
    state, told = after(*history)
    assert state.overpaid
    assert [(r.payment, r.amount) for r in state.refunds] == [(Q, 350)]
    assert Tell(About.PAID) not in told
    state, told = after(*history, refund_done(*history))
    assert not state.overpaid
    assert state.payment_status is PaymentStatus.MONEY_RECEIVED
    assert told[-1] == Tell(About.CHANGED)


def test_a_second_hold_is_voided_not_refunded() -> None:
    state, _ = after(*PLACED, OPEN_Q, HELD, seen(PaymentStage.HELD, Q))
    assert state.refunds == ()
    assert [p.wanted for p in state.payments] == [None, Wanted.CANCEL]
    assert state.overpaid
    state, _ = after(*PLACED, OPEN_Q, HELD, seen(PaymentStage.HELD, Q), seen(PaymentStage.CANCELLED, Q, at=9))
    assert not state.overpaid


def test_a_refund_that_fails_is_recorded_and_still_owed() -> None:
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    refund = refund_done(*history).refund_id
    failed = h.RefundFailed(refund_id=refund, reason="card closed")
    state, told = after(*history, failed)
    assert told == [RecordRefundFailed(refund=refund, payment=P, amount=350, reason="card closed")]
    assert not state.refunds[-1].done
    assert after(*history, refund_done(*history), failed)[1] == []


def test_a_hold_is_captured_after_the_tickets_exist() -> None:
    assert after(*PLACED, HELD)[0].payments[0].wanted is None
    assert after(*PLACED, HELD, ISSUED)[0].payments[0].wanted is Wanted.CAPTURE


def test_refund_of_a_hold_voids_it() -> None:
    state, _ = after(*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED)
    assert state.refunds == ()
    assert state.payments[0].wanted is Wanted.CANCEL
    state, told = after(*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED, seen(PaymentStage.CANCELLED, at=9))
    assert isinstance(told[-1], TellRefunded)
    assert state.money == 0


def test_a_hold_that_lapses_takes_the_tickets_back() -> None:
    state, told = after(*PLACED, HELD, ISSUED, seen(PaymentStage.CANCELLED, at=9))
    assert state.stage is FunnelStage.CANCELLED
    assert any(isinstance(c, RevokeTickets) for c in told)


def test_a_late_observation_does_not_move_back() -> None:
    state, told = after(*PLACED, seen(PaymentStage.HELD, at=5), seen(PaymentStage.FAILED, at=4))
    assert state.payments[0].stage is PaymentStage.HELD
    assert told == []


def test_conversion_refused_refunds_by_itself() -> None:
    state, _ = after(*PAID, REFUSED)
    assert [(r.payment, r.amount) for r in state.refunds] == [(P, 350)]
    assert state.delivery is Delivery.REFUSED


def test_money_after_a_cancellation_goes_back() -> None:
    state, told = after(*PLACED, CANCEL, RECEIVED)
    assert state.stage is FunnelStage.CANCELLED
    assert [(r.payment, r.amount) for r in state.refunds] == [(P, 350)]
    assert Tell(About.PAID) not in told


def test_a_wrong_amount_does_not_pay_and_goes_back() -> None:
    state, _ = after(*PLACED, seen(PaymentStage.RECEIVED, amount=349))
    assert state.stage is FunnelStage.AWAITING_PAYMENT
    assert [r.amount for r in state.refunds] == [349]


def test_open_pages_survive_the_deadline_for_a_grace() -> None:
    expired, _ = after(*PLACED, DEADLINE)
    assert expired.payments[0].wanted is None
    assert expired.due_at == LATER
    over, _ = after(*PLACED, DEADLINE, AFTER_GRACE)
    assert over.payments[0].wanted is Wanted.CANCEL
    assert over.due_at is None


def test_marking_paid_closes_the_open_card_page_and_its_late_success_goes_back() -> None:
    state, _ = after(*PLACED, MARK_PAID)
    assert [p.wanted for p in state.payments] == [Wanted.CANCEL, None]
    state, told = after(*PLACED, MARK_PAID, RECEIVED)
    assert state.overpaid
    assert [(r.payment, r.amount) for r in state.refunds] == [(P, 350)]
    assert Tell(About.PAID) not in told


@pytest.mark.parametrize(
    "over", [(CANCEL,), (MARK_PAID,), (DEADLINE, AFTER_GRACE), (OPEN_Q, seen(PaymentStage.HELD, Q))]
)
def test_a_page_on_which_a_card_was_declined_is_closed(over: tuple[h.Happening, ...]) -> None:
    """Another card may be tried on it, and nobody would notice."""
    for history in ((*PLACED, FAILED, *over), (*PLACED, *over, FAILED)):
        state, _ = after(*history)
        page = state.payment(P)
        assert page is not None
        assert (page.stage, page.wanted) == (PaymentStage.FAILED, Wanted.CANCEL)
    expired, _ = after(*PLACED, FAILED, DEADLINE)
    assert expired.due_at == LATER


def test_free_orders_are_paid_by_checkout() -> None:
    free = (Line(id=A, reference="seat-a", amount=0),)
    state, told = after(h.CheckedOut(lines=free, pay_by=T0))
    assert state.stage is FunnelStage.PAID
    assert told == [Tell(About.PLACED), Tell(About.PAID)]


def test_a_cancelled_show_pays_back_unasked() -> None:
    state, _ = after(*CONFIRMED, h.TicketsVoided(request_id=UUID(int=99), seats=("seat-a", "seat-b")))
    assert state.stage is FunnelStage.CANCELLED
    assert [r.amount for r in state.refunds] == [350]


def test_the_previous_stage_of_a_cancelled_order_is_kept() -> None:
    assert after(*PLACED, CANCEL)[0].cancelled_from is FunnelStage.AWAITING_PAYMENT
    assert after(*CONFIRMED, CANCEL)[0].cancelled_from is FunnelStage.PAID


@pytest.mark.parametrize(
    "history",
    [
        (*PLACED, CHECKOUT),
        (*PAID, OPEN_Q),
        (*PAID, h.MethodChanged(pay_by=LATER)),
        (*PLACED, DEADLINE, OPEN_Q),
        (*PAID, MARK_PAID),
        (*PLACED, CANCEL, CANCEL),
        (*PLACED, REFUND_ALL),
        (*CONFIRMED, REFUND_A, REFUND_A),
        (*CONFIRMED, REFUND_ALL, REFUND_ALL),
        (HOLD, h.HoldReleased(by_expiry=False), CHECKOUT),
    ],
)
def test_requests_that_do_not_fit_are_refused(history: tuple[h.Happening, ...]) -> None:
    state, _ = after(*history[:-1])
    with pytest.raises(NotPossible):
        decide(state, history[-1])
