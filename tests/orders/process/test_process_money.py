"""What goes back of an order's money, from which payment, for which lines, and how it is told and posted."""

from __future__ import annotations

from uuid import UUID

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import happenings as h
from services.orders.process.commands import About, Account, Money, Post, Tell, TellPayment, TellRefunded
from services.orders.process.state import CancelReason, Line, PaymentStage, Wanted
from tests.orders.process.histories import (
    AFTER_GRACE,
    CANCEL,
    CHECKOUT,
    CONFIRMED,
    DEADLINE,
    FAILED,
    HELD,
    HOLD,
    ISSUED,
    LATER,
    LET_GO,
    MARK_PAID,
    OPEN_Q,
    PAID,
    PAID_MIXED,
    PLACED,
    RECEIVED,
    REFUND_A,
    REFUND_ALL,
    REFUND_B,
    REFUSED,
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
    run,
    seen,
)

RECEIVED_Q = seen(PaymentStage.RECEIVED, Q, at=3)
TWICE = (*PLACED, OPEN_Q, RECEIVED, RECEIVED_Q, ISSUED)
NO_SEATS = h.TicketsVoided(request_id=R, seats=())
"""What ticketing answers when the tickets were revoked before they were issued: there was none to void."""

BACK: list[tuple[str, tuple[h.Happening, ...], list[tuple[UUID, int, tuple[UUID, ...]]]]] = [
    ("nothing of a sale", CONFIRMED, []),
    ("a cancellation overtakes the tickets", (*PAID, CANCEL, NO_SEATS), [(P, 350, (A, B))]),
    ("a refund overtakes the tickets", (*PAID, REFUND_A, NO_SEATS), [(P, 100, (A,))]),
    ("the answer to another request", (*PAID, REFUND_B, NO_SEATS), []),
    ("two seats, one after the other", (*CONFIRMED, REFUND_A, VOIDED_A, REFUND_B, VOIDED_B),
     [(P, 100, (A,)), (P, 250, (B,))]),
    ("both asked before one is void", (*CONFIRMED, REFUND_A, REFUND_B, VOIDED_B, VOIDED_A),
     [(P, 250, (B,)), (P, 100, (A,))]),
    ("no tickets for what was cancelled", (*PAID, CANCEL, REFUSED), [(P, 350, (A, B))]),
    ("a course at once, its seat later", (*PAID_MIXED, ISSUED, REFUND_ALL), [(P, 250, (B,))]),
    ("and then the seat", (*PAID_MIXED, ISSUED, REFUND_ALL, VOIDED_A), [(P, 250, (B,)), (P, 100, (A,))]),
    ("a void seat beside a course", (*PAID_MIXED, ISSUED, VOIDED_A), [(P, 100, (A,))]),
    ("a surplus, and then no more of it than was paid",
     (*CONFIRMED, REFUND_A, VOIDED_A, seen(PaymentStage.RECEIVED, P, at=9), VOIDED_B),
     [(P, 100, (A,)), (P, 250, (B,))]),
    ("a second payment goes back whole; the rest comes from the first",
     (*TWICE, REFUND_B, VOIDED_B), [(Q, 350, ()), (P, 250, (B,))]),
    ("and the first goes back whole, too", (*TWICE, REFUND_ALL, VOIDED), [(Q, 350, ()), (P, 350, (A, B))]),
    ("also when it was seen later", (*PLACED, OPEN_Q, RECEIVED_Q, seen(PaymentStage.RECEIVED, P, at=9)),
     [(P, 350, ())]),
    ("what staff took by hand goes back last",
     (*PLACED, MARK_PAID, seen(PaymentStage.RECEIVED, P, at=-5), ISSUED), [(P, 350, ())]),
    ("too much", (*PLACED, seen(PaymentStage.RECEIVED, amount=400)), [(P, 50, ())]),
    ("too little", (*PLACED, seen(PaymentStage.RECEIVED, amount=300)), [(P, 300, ())]),
    ("a hold in part: captured first", (*PLACED, HELD, ISSUED, REFUND_A, VOIDED_A), []),
    ("then paid back", (*PLACED, HELD, ISSUED, REFUND_A, VOIDED_A, seen(PaymentStage.RECEIVED, at=9)),
     [(P, 100, (A,))]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "back"), BACK, ids=[row[0] for row in BACK])
def test_what_goes_back(name: str, history: tuple[h.Happening, ...], back: list[tuple[UUID, int, tuple[UUID, ...]]]):
    state, _ = run(*history)
    assert [(r.payment, r.amount, r.line_ids) for r in state.refunds] == back
    assert len({r.id for r in state.refunds}) == len(back)
    for payment in state.payments:
        assert state.refunded_of(payment.id) <= payment.amount
    by_line = {line: r.id for r in state.refunds for line in r.line_ids}
    assert {x.id: r.refund for x in state.lines for r in x.returns if r.refund} == by_line


def told_back(*history: h.Happening, number: int = -1) -> tuple[TellPayment, TellRefunded | Tell, Post]:
    """How the refund `number` of the history is told and posted when it is done."""
    _, (post, payment, letter) = run(*history, refund_done(*history, number=number))
    assert isinstance(post, Post)
    assert isinstance(payment, TellPayment)
    assert isinstance(letter, TellRefunded | Tell)
    return payment, letter, post


TOLD: list[tuple[str, tuple[h.Happening, ...], str, int, tuple[UUID, ...], bool]] = [
    ("all of it", (*CONFIRMED, REFUND_ALL, VOIDED), "refunded", 350, (A, B), True),
    ("a part", (*CONFIRMED, REFUND_A, VOIDED_A), "refunded", 100, (A,), False),
    ("a part of what was cancelled", (*PAID_MIXED, ISSUED, CANCEL), "by_staff", 250, (B,), False),
    ("after a cancellation", (*CONFIRMED, CANCEL, VOIDED), "by_staff", 350, (A, B), True),
    ("money that came when the order was cancelled", (*PLACED, CANCEL, RECEIVED), "by_staff", 350, (), True),
    ("money that came too late for the seats", (*PLACED, DEADLINE, RECEIVED, REFUSED), "seats_unavailable", 350,
     (A, B), True),
    ("too little", (*PLACED, seen(PaymentStage.RECEIVED, amount=300)), "refunded", 300, (), True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "reason", "amount", "lines", "full"), TOLD, ids=[row[0] for row in TOLD])
def test_a_buyer_is_told_of_money_that_went_back(
    name: str, history: tuple[h.Happening, ...], reason: str, amount: int, lines: tuple[UUID, ...], full: bool
):
    payment, letter, post = told_back(*history)
    refund = refund_done(*history).refund_id
    assert payment == TellPayment(what=Money.REFUNDED, payment=P, amount=amount, refund=refund, reason=reason)
    assert letter == TellRefunded(refund=refund, amount=amount, line_ids=lines, full=full)
    assert post == Post(debit=Account.BUYER, credit=Account.CASH, amount=amount, why="refunded", payment=P)


def test_a_surplus_of_a_good_order_is_no_refund_to_the_buyer():
    payment, letter, _ = told_back(*PLACED, OPEN_Q, RECEIVED, RECEIVED_Q)
    assert (payment.reason, letter) == ("surplus", Tell(About.CHANGED))


def test_a_refund_of_a_good_order_is_one():
    payment, letter, _ = told_back(*CONFIRMED, REFUND_A, VOIDED_A)
    assert (payment.reason, type(letter)) == ("refunded", TellRefunded)


def test_the_second_of_two_refunds_is_told_as_the_last():
    history = (*CONFIRMED, REFUND_A, VOIDED_A, REFUND_B, VOIDED_B)
    first, second = (refund_done(*history, number=number) for number in (0, 1))
    for order in ((first, second), (second, first)):
        letters = [run(*history, *order[: n + 1])[1][-1] for n in (0, 1)]
        assert [letter.full for letter in letters if isinstance(letter, TellRefunded)] == [False, True]


@pytest.mark.parametrize("end", [PaymentStage.CANCELLED, PaymentStage.FAILED])
def test_a_hold_that_was_let_go_is_told_with_its_money(end: PaymentStage):
    history = (*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED)
    state, told = after(*history, seen(end, at=9))
    (letter,) = (c for c in told if isinstance(c, TellRefunded))
    assert (letter.amount, letter.line_ids, letter.full) == (350, (A, B), True)
    assert {r.refund for x in state.lines for r in x.returns} == {letter.refund}
    assert after(*history, seen(end, at=9), seen(end, at=10))[1] == []


def test_a_hold_that_is_captured_instead_is_told_by_its_refund():
    state, told = after(*PLACED, HELD, REFUND_ALL, ISSUED, VOIDED, seen(PaymentStage.RECEIVED, at=9))
    assert not any(isinstance(c, TellRefunded) for c in told)
    assert [(r.amount, r.line_ids) for r in state.refunds] == [(350, (A, B))]


def test_each_refusal_of_a_refund_is_counted():
    """The count is part of the idempotency key of the next attempt."""
    history = (*CONFIRMED, REFUND_A, VOIDED_A, REFUND_B, VOIDED_B)
    refund = refund_done(*history, number=0).refund_id
    failed = [h.RefundFailed(refund_id=refund, attempt=attempt, reason="try later") for attempt in (0, 0, 1, 0)]
    assert [r.failures for r in run(*history, *failed)[0].refunds] == [2, 0]


def test_a_hold_that_is_worth_more_than_the_surplus_is_captured():
    assert run(*PLACED, HELD, ISSUED, REFUND_A, VOIDED_A)[0].payments[0].wanted is Wanted.CAPTURE
    assert run(*PLACED, HELD, REFUND_A, VOIDED_A)[0].payments[0].wanted is None


class TestPages:
    """Which card pages may still be paid, and until when."""

    @pytest.mark.parametrize("declined", [FAILED, seen(PaymentStage.CANCELLED, at=3)])
    def test_one_declined_card_in_the_grace_leaves_the_other_page_open(self, declined: h.PaymentSeen):
        state, _ = run(*PLACED, OPEN_Q, DEADLINE, declined)
        other = state.payment(Q)
        assert other is not None
        assert (other.wanted, state.due_at) == (None, LATER)

    def test_a_page_beside_a_payment_is_closed_at_once(self):
        state, _ = run(*PLACED, OPEN_Q, DEADLINE, RECEIVED)
        assert [p.wanted for p in state.payments] == [None, Wanted.CANCEL]
        assert state.due_at is None

    def test_without_a_page_there_is_no_grace(self):
        assert run(HOLD, CHECKOUT, DEADLINE)[0].due_at is None
        assert run(*PLACED, seen(PaymentStage.CANCELLED), DEADLINE)[0].due_at is None

    def test_the_grace_ends_at_its_time(self):
        state, _ = run(*PLACED, DEADLINE, h.DeadlinePassed(now=T0, grace_until=LATER + (LATER - T0)))
        assert (state.payments[0].wanted, state.due_at) == (None, LATER)

    def test_another_method_closes_the_pages_and_has_its_own_deadline(self):
        state, _ = run(*PLACED, h.MethodChanged(pay_by=LATER))
        assert (state.payments[0].wanted, state.due_at) == (Wanted.CANCEL, LATER)

    def test_staff_close_what_is_open_and_not_what_was_paid(self):
        assert run(*PLACED, h.PagesUnwanted())[0].payments[0].wanted is Wanted.CANCEL
        assert run(*PLACED, DEADLINE, h.PagesUnwanted())[0].payments[0].wanted is Wanted.CANCEL
        assert run(*PAID, h.PagesUnwanted())[0].payments[0].wanted is None
        assert run(*PLACED, OPEN_Q, HELD, h.PagesUnwanted())[0].payments[0].wanted is None

    def test_a_page_is_asked_for_the_whole_price(self):
        state, told = after(*PLACED)
        assert state.payments[0].asked == 350
        assert told == [TellPayment(what=Money.STARTED, payment=P, amount=350)]

    def test_a_hold_on_a_page_that_we_close_is_let_go(self):
        """Staff mark the order as paid while the bank holds the money: the hold pays nothing."""
        state, told = after(*PLACED, h.PagesUnwanted(), HELD)
        assert (state.stage, state.payments[0].wanted, state.money) == (
            FunnelStage.AWAITING_PAYMENT,
            Wanted.CANCEL,
            0,
        )
        assert Tell(About.PAID) not in told
        state, _ = run(*PLACED, h.PagesUnwanted(), HELD, MARK_PAID)
        assert [p.wanted for p in state.payments] == [Wanted.CANCEL, None]


class TestDeadline:
    def test_more_time_is_never_less(self):
        soon = T0 + (LATER - T0) / 2
        for order in ((soon, LATER), (LATER, soon), (LATER, LATER)):
            state, _ = run(*PLACED, *(h.HoldExtended(pay_by=until) for until in order))
            assert state.due_at == LATER

    def test_a_paid_order_has_none(self):
        state, _ = run(*PAID)
        assert state.due_at is None

    @pytest.mark.parametrize("end", [(CANCEL,), (LET_GO,)])
    def test_nor_a_cancelled_one(self, end: tuple[h.Happening, ...]):
        state, _ = run(*PLACED, *end)
        assert (state.due_at, state.cancelled_from) == (None, FunnelStage.AWAITING_PAYMENT)


CANCELLED: list[tuple[tuple[h.Happening, ...], CancelReason, FunnelStage]] = [
    ((*PLACED, LET_GO), CancelReason.HOLD_RELEASED, FunnelStage.AWAITING_PAYMENT),
    ((*PLACED, DEADLINE), CancelReason.EXPIRED, FunnelStage.AWAITING_PAYMENT),
    ((*PLACED, DEADLINE, AFTER_GRACE), CancelReason.EXPIRED, FunnelStage.AWAITING_PAYMENT),
    ((*PLACED, DEADLINE, LET_GO), CancelReason.EXPIRED, FunnelStage.AWAITING_PAYMENT),
    ((*PAID, CANCEL), CancelReason.BY_STAFF, FunnelStage.PAID),
    ((*PAID, CANCEL, REFUSED), CancelReason.BY_STAFF, FunnelStage.PAID),
    ((*PAID, REFUSED), CancelReason.SEATS_UNAVAILABLE, FunnelStage.PAID),
    ((*CONFIRMED, REFUND_ALL), CancelReason.REFUNDED, FunnelStage.PAID),
    ((*CONFIRMED, VOIDED), CancelReason.REFUNDED, FunnelStage.PAID),
    ((*CONFIRMED, CANCEL, VOIDED), CancelReason.BY_STAFF, FunnelStage.PAID),
    ((*PLACED, HELD, ISSUED, seen(PaymentStage.CANCELLED, at=9)), CancelReason.PAYMENT_LOST, FunnelStage.PAID),
]


@pytest.mark.parametrize(("history", "reason", "before"), CANCELLED)
def test_why_an_order_is_cancelled(history: tuple[h.Happening, ...], reason: CancelReason, before: FunnelStage):
    state, _ = run(*history)
    assert (state.stage, state.cancel_reason, state.cancelled_from) == (FunnelStage.CANCELLED, reason, before)


def test_late_money_forgets_the_cancellation():
    state, _ = run(*PLACED, DEADLINE, RECEIVED)
    assert (state.cancel_reason, state.cancelled_from) == (None, None)


def balances(*history: h.Happening) -> dict[Account, int]:
    """What the ledger says after a history, without accounts that are even."""
    sums = dict.fromkeys(Account, 0)
    for number in range(1, len(history) + 1):
        for post in run(*history[:number])[1]:
            if isinstance(post, Post):
                assert post.amount > 0
                sums[post.debit] += post.amount
                sums[post.credit] -= post.amount
    return {account: amount for account, amount in sums.items() if amount}


LEDGER: list[tuple[str, tuple[h.Happening, ...], dict[Account, int]]] = [
    ("placed", PLACED, {}),
    ("held", (*PLACED, HELD), {Account.HELD: 350, Account.SALES: -350}),
    ("held and captured", (*PLACED, HELD, ISSUED, RECEIVED), {Account.CASH: 350, Account.SALES: -350}),
    ("captured in part", (*PLACED, HELD, ISSUED, seen(PaymentStage.RECEIVED, at=2, amount=300)),
     {Account.CASH: 300, Account.SALES: -350, Account.BUYER: 50}),
    ("a hold that lapses", (*PLACED, HELD, seen(PaymentStage.CANCELLED, at=5)),
     {Account.SALES: -350, Account.BUYER: 350}),
    ("a hold that lapses and its tickets", (*PLACED, HELD, ISSUED, seen(PaymentStage.CANCELLED, at=5),
                                            h.TicketsVoided(request_id=P, seats=("seat-a", "seat-b"))), {}),
    ("declined", (*PLACED, FAILED), {}),
    ("by hand", (*PLACED, MARK_PAID), {Account.CASH: 350, Account.SALES: -350}),
    ("no tickets", (*PAID, REFUSED), {Account.CASH: 350, Account.BUYER: -350}),
    ("void, and void again", (*CONFIRMED, VOIDED_A, VOIDED_A),
     {Account.CASH: 350, Account.SALES: -250, Account.BUYER: -100}),
    ("cancelled unpaid", (*PLACED, CANCEL, RECEIVED), {Account.CASH: 350, Account.BUYER: -350}),
    ("surplus", TWICE,
     {Account.CASH: 700, Account.SALES: -350, Account.BUYER: -350}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "expected"), LEDGER, ids=[row[0] for row in LEDGER])
def test_ledger(name: str, history: tuple[h.Happening, ...], expected: dict[Account, int]):
    assert balances(*history) == expected


FREE = (Line(id=A, reference="seat-a", amount=0),)
STATUS: list[tuple[str, tuple[h.Happening, ...], PaymentStatus]] = [
    ("nothing", PLACED, PaymentStatus.NOT_PAID),
    ("a declined card", (*PLACED, FAILED), PaymentStatus.NOT_PAID),
    ("held", (*PLACED, HELD), PaymentStatus.HOLD),
    ("a hold that we let go", (*PLACED, CANCEL, HELD), PaymentStatus.NOT_PAID),
    ("received", PAID, PaymentStatus.MONEY_RECEIVED),
    ("nothing to pay", (h.CheckedOut(lines=FREE, pay_by=T0),),
     PaymentStatus.MONEY_RECEIVED),
    ("too little, not back yet", (*PLACED, seen(PaymentStage.RECEIVED, amount=300)), PaymentStatus.MONEY_RECEIVED),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "status"), STATUS, ids=[row[0] for row in STATUS])
def test_payment_status(name: str, history: tuple[h.Happening, ...], status: PaymentStatus):
    assert run(*history)[0].payment_status is status


def test_a_second_refund_makes_the_status_whole():
    one = (*CONFIRMED, REFUND_A, VOIDED_A)
    both = (*one, refund_done(*one), REFUND_B, VOIDED_B)
    assert run(*both)[0].payment_status is PaymentStatus.PARTIALLY_REFUNDED
    assert run(*both, refund_done(*both))[0].payment_status is PaymentStatus.MONEY_REFUNDED
