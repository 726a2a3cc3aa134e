"""Pages, holds and payments of an order: what counts, what is closed, what is captured."""

from __future__ import annotations

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    RevokeTickets,
    Tell,
)
from services.orders.process.state import Line, PaymentStage, Wanted
from tests.orders.process.histories import (
    AFTER_GRACE,
    CANCEL,
    DEADLINE,
    FAILED,
    HELD,
    ISSUED,
    LATER,
    MARK_PAID,
    OPEN_Q,
    PLACED,
    RECEIVED,
    T0,
    A,
    P,
    Q,
    after,
    refund_done,
    seen,
)


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


def test_a_hold_is_captured_after_the_tickets_exist() -> None:
    assert after(*PLACED, HELD)[0].payments[0].wanted is None
    assert after(*PLACED, HELD, ISSUED)[0].payments[0].wanted is Wanted.CAPTURE


def test_a_hold_that_lapses_takes_the_tickets_back() -> None:
    state, told = after(*PLACED, HELD, ISSUED, seen(PaymentStage.CANCELLED, at=9))
    assert state.stage is FunnelStage.CANCELLED
    assert any(isinstance(c, RevokeTickets) for c in told)


def test_a_late_observation_does_not_move_back() -> None:
    state, told = after(*PLACED, seen(PaymentStage.HELD, at=5), seen(PaymentStage.FAILED, at=4))
    assert state.payments[0].stage is PaymentStage.HELD
    assert told == []


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
