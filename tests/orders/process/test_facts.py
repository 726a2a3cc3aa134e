"""What providers did unasked, attempts that fail, and money that staff entered: one row per transition."""

from __future__ import annotations

from uuid import UUID

import pytest

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.process import NotPossible
from services.orders.process import happenings as h
from services.orders.process.commands import Money, RevokeTickets, TellCancelled, TellPayment
from services.orders.process.state import CancelReason, DisputeStage, PaymentStage, RefundStage
from tests.orders.process.histories import (
    CHECKOUT,
    CONFIRMED,
    HOLD,
    MARK_PAID,
    OPEN_P,
    PAID,
    PLACED,
    RECEIVED,
    REFUND_A,
    REFUND_ALL,
    T0,
    VOIDED,
    VOIDED_A,
    P,
    Q,
    after,
    refund_done,
    run,
)

F, D, E = UUID(int=31), UUID(int=32), UUID(int=33)


def elsewhere(amount: int, *, stands: bool = True, refund: UUID = F) -> h.RefundSeen:
    return h.RefundSeen(payment_id=P, refund_id=refund, amount=amount, stands=stands)


def dispute(stage: DisputeStage, amount: int = 350) -> h.DisputeSeen:
    return h.DisputeSeen(payment_id=P, dispute_id=D, amount=amount, stage=stage, reason="fraudulent")


OPEN, WON, LOST = (dispute(stage) for stage in (DisputeStage.OPEN, DisputeStage.WON, DisputeStage.LOST))
PART = h.MarkedPaid(payment_id=Q, at=T0, amount=200)
TOO_MUCH = h.MarkedPaid(payment_id=Q, at=T0, amount=400)
UNPAID = (HOLD, CHECKOUT)
Row = tuple[str, tuple[h.Happening, ...], FunnelStage, PaymentStatus, int, list[tuple[int, RefundStage]]]

PAID_, CANCELLED, AWAITS = FunnelStage.PAID, FunnelStage.CANCELLED, FunnelStage.AWAITING_PAYMENT
RECEIVED_, PARTLY, BACK, NOT = (
    PaymentStatus.MONEY_RECEIVED,
    PaymentStatus.PARTIALLY_REFUNDED,
    PaymentStatus.MONEY_REFUNDED,
    PaymentStatus.NOT_PAID,
)
DONE, WITHDRAWN, PENDING = RefundStage.DONE, RefundStage.WITHDRAWN, RefundStage.PENDING

TABLE: list[Row] = [
    ("all of it at the dashboard", (*CONFIRMED, elsewhere(350)), CANCELLED, BACK, 350, [(350, DONE)]),
    ("twice the same", (*CONFIRMED, elsewhere(350), elsewhere(350)), CANCELLED, BACK, 350, [(350, DONE)]),
    ("before its payment is known", (*PLACED, elsewhere(350), RECEIVED), AWAITS, BACK, 350, [(350, DONE)]),
    ("a part", (*CONFIRMED, elsewhere(100)), PAID_, PARTLY, 100, [(100, DONE)]),
    ("two parts that are all of it", (*CONFIRMED, elsewhere(100), elsewhere(250, refund=E)), CANCELLED, BACK, 350,
     [(100, DONE), (250, DONE)]),
    ("a part that staff then take back", (*CONFIRMED, elsewhere(100), REFUND_A, VOIDED_A), PAID_, PARTLY, 0,
     [(100, DONE)]),
    ("one that failed there before it was heard of", (*CONFIRMED, elsewhere(350, stands=False), elsewhere(350)),
     PAID_, RECEIVED_, 0, [(350, WITHDRAWN)]),
    ("a part that came back", (*CONFIRMED, elsewhere(100), elsewhere(100, stands=False)), PAID_, RECEIVED_, 0,
     [(100, WITHDRAWN)]),
    ("instead of ours", (*CONFIRMED, REFUND_ALL, VOIDED, elsewhere(350)), CANCELLED, BACK, 0,
     [(350, WITHDRAWN), (350, DONE)]),
    ("a part instead of ours", (*CONFIRMED, REFUND_ALL, VOIDED, elsewhere(100)), CANCELLED, PARTLY, 0,
     [(350, WITHDRAWN), (100, DONE), (250, PENDING)]),
    ("all of it, and it came back", (*CONFIRMED, elsewhere(350), h.TicketsVoided(request_id=F, seats=()),
     elsewhere(350, stands=False)), CANCELLED, RECEIVED_, 0, [(350, WITHDRAWN), (350, PENDING)]),
    ("a dispute", (*CONFIRMED, OPEN), PAID_, RECEIVED_, 0, []),
    ("a dispute that is won", (*CONFIRMED, OPEN, WON), PAID_, RECEIVED_, 0, []),
    ("a dispute that is lost", (*CONFIRMED, OPEN, LOST), CANCELLED, BACK, 350, [(350, DONE)]),
    ("heard of when it was lost", (*CONFIRMED, LOST, OPEN, LOST), CANCELLED, BACK, 350, [(350, DONE)]),
    ("won, and an older answer", (*CONFIRMED, OPEN, WON, LOST), PAID_, RECEIVED_, 0, []),
    ("a part of it lost", (*CONFIRMED, dispute(DisputeStage.LOST, 100)), PAID_, PARTLY, 100, [(100, DONE)]),
    ("no refund while a bank decides", (*CONFIRMED, OPEN, REFUND_ALL, VOIDED), CANCELLED, RECEIVED_, 0, []),
    ("then it is won", (*CONFIRMED, OPEN, REFUND_ALL, VOIDED, WON), CANCELLED, RECEIVED_, 0, [(350, PENDING)]),
    ("or lost", (*CONFIRMED, OPEN, REFUND_ALL, VOIDED, LOST), CANCELLED, BACK, 0, [(350, DONE)]),
    ("a part by hand", (*UNPAID, PART), AWAITS, RECEIVED_, 150, []),
    ("the rest by hand", (*UNPAID, PART, h.MarkedPaid(payment_id=P, at=T0)), PAID_, RECEIVED_, 0, []),
    ("the rest by card", (*UNPAID, PART, OPEN_P,
     h.PaymentSeen(payment_id=P, stage=PaymentStage.RECEIVED, amount=150, observed_at=T0)), PAID_, RECEIVED_, 0, []),
    ("too much by hand", (*UNPAID, TOO_MUCH), PAID_, RECEIVED_, 0, [(50, PENDING)]),
    ("a part, and the time is over", (*UNPAID, PART, h.DeadlinePassed(now=T0, grace_until=T0)), CANCELLED,
     RECEIVED_, 0, [(200, PENDING)]),
    ("a part entered by mistake", (*UNPAID, PART, h.EntryReversed(payment_id=Q)), AWAITS, NOT, 350, []),
    ("all of it entered by mistake", (*UNPAID, MARK_PAID, h.EntryReversed(payment_id=Q),
     h.TicketsVoided(request_id=Q, seats=())), CANCELLED, NOT, 0, []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "history", "stage", "status", "missing", "refunds"), TABLE, ids=[r[0] for r in TABLE])
def test_table(
    name: str,
    history: tuple[h.Happening, ...],
    stage: FunnelStage,
    status: PaymentStatus,
    missing: int,
    refunds: list[tuple[int, RefundStage]],
) -> None:
    state, _ = run(*history)
    assert (state.stage, state.payment_status) == (stage, status)
    assert [(r.amount, r.stage) for r in state.refunds] == refunds
    assert state.missing == missing


def test_a_whole_refund_elsewhere_voids_the_tickets_and_tells_the_holders():
    _, told = after(*CONFIRMED, elsewhere(350))
    (revoked,) = (c for c in told if isinstance(c, RevokeTickets))
    assert (revoked.request, revoked.seats) == (F, ("seat-a", "seat-b"))
    assert TellCancelled(was_paid=True, reason=CancelReason.REFUNDED) in told


def test_an_entry_by_mistake_ends_the_order_without_a_letter():
    _, told = after(*UNPAID, MARK_PAID, h.EntryReversed(payment_id=Q))
    assert TellCancelled(was_paid=False, reason=CancelReason.ENTRY_REVERSED) in told
    assert any(isinstance(c, RevokeTickets) for c in told)


def test_a_refund_is_tried_five_times_and_then_sent_by_hand():
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    refund = refund_done(*history).refund_id
    failed = [h.RefundFailed(refund_id=refund, attempt=n, reason="try later") for n in range(5)]
    assert run(*history, *failed[:4])[0].due_by_hand == 0
    state, told = run(*history, *failed)
    assert state.due_by_hand == 350
    whats = [c.what for c in told if isinstance(c, TellPayment)]
    assert whats == [Money.REFUND_FAILED, Money.REFUND_DUE]


def test_what_a_provider_refuses_for_good_is_by_hand_at_once():
    history = (*CONFIRMED, REFUND_ALL, VOIDED)
    refund = refund_done(*history).refund_id
    failed = h.RefundFailed(refund_id=refund, attempt=0, reason="account_closed", final=True)
    confirm, write_off = h.RefundConfirmed(refund_id=refund), h.RefundWrittenOff(refund_id=refund)
    assert run(*history, failed)[0].due_by_hand == 350
    for settled in (confirm, write_off):
        state, _ = run(*history, failed, settled, failed)
        assert state.due_by_hand == 0
        for again in (confirm, write_off):
            with pytest.raises(NotPossible):
                run(*history, failed, settled, again)
    with pytest.raises(NotPossible):
        run(*history, confirm)


@pytest.mark.parametrize("wrong", [h.EntryReversed(payment_id=P), h.EntryReversed(payment_id=Q)])
def test_only_what_staff_entered_is_reversed(wrong: h.EntryReversed):
    with pytest.raises(NotPossible):
        run(*PAID, wrong)
