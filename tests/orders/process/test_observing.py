"""What an observation of a payment changes, and what money then counts, is captured, or was given back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import TellRefunded
from services.orders.process.line import LineState
from services.orders.process.settle import hold_returned, observe
from services.orders.process.state import (
    MANUAL,
    CancelReason,
    Payment,
    PaymentStage,
    Refund,
    RefundStage,
    State,
    Wanted,
)
from tests.orders.process.histories import (
    AFTER_GRACE,
    CANCEL,
    CONFIRMED,
    DEADLINE,
    FAILED,
    HELD,
    ISSUED,
    OPEN_Q,
    PLACED,
    R2,
    REFUND_A,
    REFUND_B,
    SEATS,
    T0,
    VOIDED_A,
    VOIDED_B,
    A,
    B,
    P,
    Q,
    R,
    after,
    seen,
)

OPEN, HOLD, GOT = PaymentStage.OPEN, PaymentStage.HELD, PaymentStage.RECEIVED
OVER, BAD = PaymentStage.CANCELLED, PaymentStage.FAILED
OLDER, SAME, NEWER = 4, 5, 6

Known = tuple[PaymentStage, Wanted | None, int]
OBSERVED: list[tuple[PaymentStage, Wanted | None, PaymentStage, int, Known | None]] = [
    # known, wanted, seen, when: stage, wanted and amount afterwards; None changes nothing
    (OPEN, None, OPEN, NEWER, None),
    (OPEN, None, HOLD, NEWER, (HOLD, None, 9)),
    (OPEN, None, BAD, OLDER, (BAD, None, 0)),
    (OPEN, None, OVER, SAME, (OVER, None, 0)),
    (OPEN, Wanted.CANCEL, HOLD, NEWER, (HOLD, Wanted.CANCEL, 9)),
    (OPEN, Wanted.CANCEL, BAD, NEWER, (BAD, Wanted.CANCEL, 0)),
    (OPEN, Wanted.CANCEL, OVER, NEWER, (OVER, None, 0)),
    (OPEN, Wanted.CANCEL, GOT, NEWER, (GOT, None, 9)),
    (HOLD, None, HOLD, NEWER, None),
    (HOLD, None, OPEN, NEWER, None),
    (HOLD, None, OVER, OLDER, None),
    (HOLD, None, OVER, SAME, None),
    (HOLD, None, OVER, NEWER, (OVER, None, 0)),
    (HOLD, None, BAD, SAME, None),
    (HOLD, None, GOT, OLDER, (GOT, None, 9)),
    (HOLD, None, GOT, SAME, (GOT, None, 9)),
    (HOLD, Wanted.CAPTURE, GOT, NEWER, (GOT, None, 9)),
    (HOLD, Wanted.CAPTURE, BAD, NEWER, (BAD, None, 0)),
    (HOLD, Wanted.CAPTURE, OVER, NEWER, (OVER, None, 0)),
    (HOLD, Wanted.CANCEL, OVER, NEWER, (OVER, None, 0)),
    (BAD, None, HOLD, NEWER, (HOLD, None, 9)),
    (BAD, None, HOLD, SAME, None),
    (BAD, None, GOT, OLDER, (GOT, None, 9)),
    (BAD, Wanted.CANCEL, HOLD, NEWER, (HOLD, Wanted.CANCEL, 9)),
    (OVER, None, GOT, OLDER, (GOT, None, 9)),
    (OVER, None, HOLD, OLDER, None),
    (GOT, None, OVER, NEWER, None),
    (GOT, None, HOLD, NEWER, None),
    (GOT, None, GOT, NEWER, None),
]  # fmt: skip


@pytest.mark.parametrize(("known", "wanted", "stage", "at", "expected"), OBSERVED)
def test_what_an_observation_changes(
    known: PaymentStage,
    wanted: Wanted | None,
    stage: PaymentStage,
    at: int,
    expected: Known | None,
) -> None:
    before = replace(payment(known, wanted), observed_at=T0 + timedelta(seconds=SAME))
    got = observe(before, seen(stage, at=at, amount=9))
    if expected is None:
        assert got is before
    else:
        assert (got.stage, got.wanted, got.amount) == expected
        assert got.observed_at == T0 + timedelta(seconds=at)


def payment(stage: PaymentStage, wanted: Wanted | None = None, provider: str = "sandbox", id: UUID = P) -> Payment:
    return Payment(id=id, provider=provider, asked=350, stage=stage, amount=350, wanted=wanted)


@pytest.mark.parametrize("wanted", [None, *Wanted])
@pytest.mark.parametrize("stage", list(PaymentStage))
def test_what_counts_as_money(stage: PaymentStage, wanted: Wanted | None) -> None:
    counts = stage is GOT or (stage is HOLD and wanted is not Wanted.CANCEL)
    assert payment(stage, wanted).counted == (350 if counts else 0)


def test_what_came_by_hand_and_what_was_refused_is_due_by_hand_until_it_has_gone() -> None:
    by_hand, by_card = payment(GOT, provider=MANUAL), payment(GOT, id=Q)
    refunds = [
        Refund(id=UUID(int=n), payment=id, amount=10**n, stage=stage)
        for n, (id, stage) in enumerate((id, stage) for id in (P, Q, R) for stage in RefundStage)
    ]
    state = State(payments=(by_hand, by_card), refunds=tuple(refunds))
    due = [(r.payment, r.stage) for r in refunds if state.by_hand(r)]
    assert due == [(P, RefundStage.PENDING), *((id, RefundStage.REFUSED) for id in (P, Q, R))]
    assert state.due_by_hand == sum(r.amount for r in refunds if (r.payment, r.stage) in due)


def test_a_refund_pays_back_what_no_other_has() -> None:
    state, _ = after(*CONFIRMED, REFUND_A, VOIDED_A, REFUND_B, VOIDED_B)
    assert [(refund.amount, refund.line_ids) for refund in state.refunds] == [(100, (A,)), (250, (B,))]


def test_of_two_holds_the_one_that_is_let_go_is_not_captured() -> None:
    state, _ = after(*PLACED, OPEN_Q, HELD, seen(HOLD, Q), ISSUED)
    assert [one.wanted for one in state.payments] == [Wanted.CAPTURE, Wanted.CANCEL]


def test_a_hold_that_is_let_go_already_does_not_save_another() -> None:
    third = UUID(int=13)
    pages = (*PLACED, OPEN_Q, h.PaymentOpened(payment_id=third, provider="sandbox"))
    state, _ = after(*pages, HELD, seen(HOLD, third), seen(HOLD, Q))
    assert [one.wanted for one in state.payments] == [None, Wanted.CANCEL, Wanted.CANCEL]


@pytest.mark.parametrize("stage", [FunnelStage.PAID, FunnelStage.CANCELLED])
def test_a_hold_that_came_back_is_told_for_lines_that_are_gone(stage: FunnelStage) -> None:
    gone = State(stage=stage, sold=True, lines=(SEATS[0].with_return(SEATS[0].part()).void(), SEATS[1]))
    let_go = payment(HOLD, Wanted.CANCEL)
    state, (told,) = hold_returned(gone, let_go, payment(OVER))
    assert isinstance(told, TellRefunded)
    assert (told.amount, told.line_ids, told.full) == (350, (A,), stage is FunnelStage.CANCELLED)
    assert [[part.refund for part in line.returns] for line in state.lines] == [[told.refund], []]
    assert hold_returned(state, let_go, payment(OVER)) == (state, ()), "it was told"
    for before, now in (
        (payment(HOLD), OVER),
        (payment(HOLD, Wanted.CAPTURE), OVER),
        (payment(OPEN, Wanted.CANCEL), OVER),
        (payment(BAD, Wanted.CANCEL), OVER),
        (let_go, GOT),
    ):
        assert hold_returned(gone, before, payment(now)) == (gone, ())


def test_a_page_stays_open_for_as_long_as_late_money_is_welcome() -> None:
    """A card that is declined meanwhile does not close it: another may be tried."""
    within, _ = after(*PLACED, DEADLINE, FAILED)
    assert within.payments[0].wanted is None
    over, _ = after(*PLACED, DEADLINE, FAILED, AFTER_GRACE)
    assert over.payments[0].wanted is Wanted.CANCEL
    waiting, _ = after(*PLACED, FAILED)
    assert waiting.payments[0].wanted is None
    cancelled, _ = after(*PLACED, CANCEL, FAILED)
    assert cancelled.payments[0].wanted is Wanted.CANCEL


def test_what_is_being_taken_back_already_keeps_its_request() -> None:
    later = h.CancelAsked(request_id=R2, reason=CancelReason.BY_STAFF)
    state, _ = after(*CONFIRMED, REFUND_A, later)
    assert [line.state for line in state.lines] == [LineState.LEAVING, LineState.LEAVING]
    assert [[part.request for part in line.returns] for line in state.lines] == [[R], [R2]]
    state, _ = after(*CONFIRMED, REFUND_A, later, VOIDED_A, VOIDED_B)
    assert sum(refund.amount for refund in state.refunds) == 350


def test_a_hold_worth_what_is_left_pays_for_it() -> None:
    """The money of the lines that stay is enough: nothing is lost."""
    state, _ = after(*PLACED, HELD, ISSUED, REFUND_A, VOIDED_A, seen(GOT, at=9))
    assert (state.stage, state.value) == (FunnelStage.PAID, 250)
    assert [refund.amount for refund in state.refunds] == [100]
