"""The order process as a table: each row is a history, and what its last event changes and tells."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import NotPossible, decide
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    Command,
    Money,
    OpenEnrolments,
    RecordRefundFailed,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
    Unclaim,
)
from services.orders.process.state import CancelReason, Delivery, Line, PaymentStage, Wanted
from tests.orders.process.histories import (
    AFTER_GRACE,
    CANCEL,
    CHECKOUT,
    CONFIRMED,
    COURSE,
    DEADLINE,
    FAILED,
    HELD,
    HOLD,
    ISSUED,
    LATER,
    LET_GO,
    MARK_PAID,
    OPEN_P,
    OPEN_Q,
    PAID,
    PAID_MIXED,
    PLACED,
    R2,
    RECEIVED,
    REFUND_A,
    REFUND_ALL,
    REFUND_B,
    REFUSED,
    SEATS,
    T0,
    VOIDED,
    VOIDED_A,
    VOIDED_B,
    A,
    B,
    P,
    Q,
    R,
    after,
    refund_done,
    seen,
)

MOMENT = timedelta(microseconds=1)
WISH = h.Wished(lines=SEATS, stage=FunnelStage.WISHLIST)
CANCEL_LATER = h.CancelAsked(request_id=R2, reason=CancelReason.BY_STAFF)

TABLE: list[tuple[str, tuple[h.Happening, ...], FunnelStage | None, list[Command]]] = [
    ("a hold is interest", (HOLD,), FunnelStage.INTERESTED, [Tell(About.INTERESTED)]),
    ("the same hold twice", (HOLD, HOLD), FunnelStage.INTERESTED, []),
    ("checkout before its hold", (CHECKOUT,), FunnelStage.AWAITING_PAYMENT, [Tell(About.PLACED)]),
    ("the hold comes after", (CHECKOUT, HOLD), FunnelStage.AWAITING_PAYMENT, []),
    ("interest may lapse", (HOLD, h.HoldReleased(by_expiry=True)), FunnelStage.INTERESTED, []),
    ("nobody ordered in time", (HOLD, h.HoldLapsed()), FunnelStage.INTERESTED, [Unclaim()]),
    ("and is asked again", (HOLD, h.HoldLapsed(), h.HoldLapsed()), FunnelStage.INTERESTED, [Unclaim()]),
    ("of a hold never heard of", (h.HoldLapsed(),), None, [Unclaim()]),
    ("a placed order keeps the seats of its hold", (*PLACED, h.HoldLapsed()), FunnelStage.AWAITING_PAYMENT, []),
    ("so does a paid one", (*PAID, h.HoldLapsed()), FunnelStage.PAID, []),
    ("one that was not paid in time does not", (*PLACED, DEADLINE, h.HoldLapsed()), FunnelStage.CANCELLED,
     [Unclaim()]),
    ("a hold let go cancels", (*PLACED, LET_GO), FunnelStage.CANCELLED,
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
    ("a wish", (WISH,), FunnelStage.WISHLIST, [Tell(About.CHANGED)]),
    ("a wish for what is held", (HOLD, WISH), FunnelStage.INTERESTED, []),
    ("a hold for what was wished", (WISH, HOLD), FunnelStage.WISHLIST, []),
    ("a hold let go before checkout", (HOLD, LET_GO), FunnelStage.INTERESTED, []),
    ("a hold let go after the money came", (*PAID, LET_GO), FunnelStage.PAID, []),
    ("a hold let go after the order expired", (*PLACED, DEADLINE, LET_GO), FunnelStage.CANCELLED, []),
    ("and late money is welcome still", (*PLACED, DEADLINE, LET_GO, RECEIVED), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=P, amount=350), Tell(About.PAID)]),
    ("more time for an expired order", (*PLACED, DEADLINE, h.HoldExtended(pay_by=LATER)), FunnelStage.CANCELLED, []),
    ("more time for mere interest", (HOLD, h.HoldExtended(pay_by=LATER)), FunnelStage.INTERESTED, []),
    ("a moment before the deadline", (*PLACED, h.DeadlinePassed(now=T0 - MOMENT, grace_until=LATER)),
     FunnelStage.AWAITING_PAYMENT, []),
    ("the deadline of mere interest", (HOLD, DEADLINE), FunnelStage.INTERESTED, []),
    ("a payment of another order", (*PLACED, seen(PaymentStage.RECEIVED, Q)), FunnelStage.AWAITING_PAYMENT, []),
    ("a page still open", (*PLACED, seen(PaymentStage.OPEN)), FunnelStage.AWAITING_PAYMENT, []),
    ("one unit too little", (*PLACED, seen(PaymentStage.HELD, amount=349)), FunnelStage.AWAITING_PAYMENT,
     [TellPayment(what=Money.HELD, payment=P, amount=349)]),
    ("two parts of the price do not add up", (*PLACED, OPEN_Q, seen(PaymentStage.HELD, amount=100),
                                              seen(PaymentStage.HELD, Q, amount=250)), FunnelStage.AWAITING_PAYMENT,
     [TellPayment(what=Money.HELD, payment=Q, amount=250)]),
    ("money after staff cancelled", (*PLACED, CANCEL, HELD), FunnelStage.CANCELLED,
     [TellPayment(what=Money.HELD, payment=P, amount=350)]),
    ("a page that we closed is no news", (*PLACED, CANCEL, seen(PaymentStage.CANCELLED)), FunnelStage.CANCELLED, []),
    ("a hold that ends before the order is paid", (*PLACED, OPEN_Q, seen(PaymentStage.HELD, amount=100),
                                                   seen(PaymentStage.CANCELLED, at=5)), FunnelStage.AWAITING_PAYMENT,
     [TellPayment(what=Money.FAILED, payment=P, amount=100, reason="cancelled")]),
    ("capture", (*PLACED, HELD, ISSUED, seen(PaymentStage.RECEIVED, at=9)), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=P, amount=350)]),
    ("tickets of a cancelled order confirm nothing", (*PAID, CANCEL, ISSUED), FunnelStage.CANCELLED, []),
    ("tickets before the money are nobody's", (*PLACED, ISSUED), FunnelStage.AWAITING_PAYMENT, []),
    ("no tickets for a cancelled order", (*PAID, CANCEL, REFUSED), FunnelStage.CANCELLED, []),
    ("refused before the money", (*PLACED, REFUSED), FunnelStage.AWAITING_PAYMENT, []),
    ("void tickets of an unpaid order", (*PLACED, VOIDED), FunnelStage.AWAITING_PAYMENT, []),
    ("one void ticket of two", (*CONFIRMED, VOIDED_A), FunnelStage.PAID, []),
    ("and the other", (*CONFIRMED, VOIDED_A, VOIDED_B), FunnelStage.CANCELLED, [TellTakenBack(reason="refunded")]),
    ("both refunded, one after the other", (*CONFIRMED, REFUND_A, REFUND_B), FunnelStage.CANCELLED,
     [RevokeTickets(request=R2, seats=("seat-b",), reason="refunded"), TellTakenBack(reason="refunded")]),
    ("cancel mere interest", (HOLD, CANCEL), FunnelStage.CANCELLED,
     [TellCancelled(was_paid=False, reason="by staff")]),
    ("cancel without a note", (*PLACED, h.CancelAsked(request_id=R, reason=CancelReason.BY_BUYER)),
     FunnelStage.CANCELLED, [TellCancelled(was_paid=False, reason="by_buyer")]),
    ("cancel what was paid, without a note", (*PAID, h.CancelAsked(request_id=R, reason=CancelReason.BY_BUYER)),
     FunnelStage.CANCELLED, [RevokeTickets(request=R, seats=("seat-a", "seat-b"), reason="cancelled"),
                             TellCancelled(was_paid=True, reason="by_buyer")]),
    ("cancel what was refunded in part", (*CONFIRMED, REFUND_A, CANCEL_LATER), FunnelStage.CANCELLED,
     [RevokeTickets(request=R2, seats=("seat-b",), reason="cancelled"),
      TellCancelled(was_paid=True, reason="by_staff")]),
    ("a seat and a course", PAID_MIXED, FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=P, amount=350), Tell(About.PAID), OpenEnrolments()]),
    ("cancel a seat and a course", (*PAID_MIXED, CANCEL), FunnelStage.CANCELLED,
     [RevokeTickets(request=R, seats=("seat-a",), reason="cancelled"),
      TellCancelled(was_paid=True, reason="by staff")]),
    ("the seat is void, the course stays", (*PAID_MIXED, ISSUED, VOIDED_A), FunnelStage.PAID, []),
    ("refund of the course alone revokes nothing", (*PAID_MIXED, ISSUED, REFUND_B), FunnelStage.PAID, []),
    ("a refund that nobody asked for", (*CONFIRMED, h.RefundDone(refund_id=R)), FunnelStage.PAID, []),
    ("a refund that nobody asked for fails", (*CONFIRMED, h.RefundFailed(refund_id=R, reason="?")),
     FunnelStage.PAID, []),
    ("marked paid after the deadline", (*PLACED, DEADLINE, MARK_PAID), FunnelStage.PAID,
     [TellPayment(what=Money.RECEIVED, payment=Q, amount=350), Tell(About.PAID)]),
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
        (HOLD, LET_GO, CHECKOUT),
        (HOLD, h.HoldLapsed(), CHECKOUT),
        (h.HoldLapsed(), CHECKOUT),
        (HOLD, h.HoldReleased(by_expiry=True), CHECKOUT),
        (WISH, CHECKOUT),
        (h.CancelAsked(request_id=R, reason=CancelReason.BY_STAFF),),
        (*PLACED, CANCEL, CHECKOUT),
        (*PLACED, CANCEL, OPEN_Q),
        (*PLACED, CANCEL, MARK_PAID),
        (*PLACED, CANCEL, h.MethodChanged(pay_by=LATER)),
        (HOLD, OPEN_P),
        (HOLD, MARK_PAID),
        (HOLD, h.MethodChanged(pay_by=LATER)),
        (HOLD, REFUND_ALL),
        (*CONFIRMED, h.RefundAsked(request_id=R, line_ids=())),
        (*CONFIRMED, h.RefundAsked(request_id=R, line_ids=(A, UUID(int=3)))),
        (*CONFIRMED, REFUND_A, VOIDED_A, REFUND_A),
        (*CONFIRMED, REFUND_A, h.RefundAsked(request_id=R2, line_ids=(A, B))),
        (*CONFIRMED, CANCEL, REFUND_ALL),
        (*CONFIRMED, h.RefundConfirmed(refund_id=R)),
    ],
)
def test_requests_that_do_not_fit_are_refused(history: tuple[h.Happening, ...]) -> None:
    state, _ = after(*history[:-1])
    with pytest.raises(NotPossible):
        decide(state, history[-1])
