"""When money goes back, to whom, and who says so."""

from __future__ import annotations

from uuid import UUID

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import NotPossible
from services.orders.process import happenings as h
from services.orders.process.commands import (
    Money,
    RecordRefundFailed,
    TellPayment,
    TellRefunded,
)
from services.orders.process.state import Delivery, PaymentStage, Wanted
from tests.orders.process.histories import (
    CONFIRMED,
    HELD,
    ISSUED,
    MARK_PAID,
    PAID,
    PLACED,
    REFUND_A,
    REFUND_ALL,
    REFUSED,
    VOIDED,
    VOIDED_A,
    A,
    P,
    Q,
    after,
    refund_done,
    seen,
)


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


def test_a_refund_that_fails_is_recorded_and_still_owed() -> None:
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    refund = refund_done(*history).refund_id
    failed = h.RefundFailed(refund_id=refund, attempt=0, reason="card closed")
    state, told = after(*history, failed)
    assert told == [RecordRefundFailed(refund=refund, payment=P, amount=350, reason="card closed")]
    assert not state.refunds[-1].done
    assert after(*history, failed, failed)[1] == []


def test_refund_of_a_hold_voids_it() -> None:
    state, _ = after(*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED)
    assert state.refunds == ()
    assert state.payments[0].wanted is Wanted.CANCEL
    state, told = after(*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED, seen(PaymentStage.CANCELLED, at=9))
    assert isinstance(told[-1], TellRefunded)
    assert state.money == 0


def test_conversion_refused_refunds_by_itself() -> None:
    state, _ = after(*PAID, REFUSED)
    assert [(r.payment, r.amount) for r in state.refunds] == [(P, 350)]
    assert state.delivery is Delivery.REFUSED


def test_a_cancelled_show_pays_back_unasked() -> None:
    state, _ = after(*CONFIRMED, h.TicketsVoided(request_id=UUID(int=99), seats=("seat-a", "seat-b")))
    assert state.stage is FunnelStage.CANCELLED
    assert [r.amount for r in state.refunds] == [350]
