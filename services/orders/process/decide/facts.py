"""What a provider did unasked: refunds made at its dashboard, and disputes. They are facts, and never refused."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid5

from services.orders.process import happenings as h
from services.orders.process.commands import About, Account, Commands, Money, Post, Tell, TellPayment
from services.orders.process.decide.dispatch import on
from services.orders.process.settle import freed, owed, paid_back_by, settle, withdraw
from services.orders.process.state import CancelReason, Dispute, DisputeStage, Origin, Refund, RefundStage, State
from services.orders.process.steps import Decision, came_back, given_back, losing_all

FORWARD = (None, DisputeStage.OPEN, DisputeStage.LOST, DisputeStage.WON)
"""A dispute only moves to the right, so answers in any order end at the same place."""


@on.register
def _refund_seen(happening: h.RefundSeen, state: State) -> Decision:
    if state.payment(happening.payment_id) is None:
        return state, ()
    found = Refund(
        id=happening.refund_id, payment=happening.payment_id, amount=happening.amount, origin=Origin.PROVIDER
    )
    return _made_elsewhere(state, found, CancelReason.REFUNDED) if happening.stands else _undone(state, found)


def _made_elsewhere(state: State, refund: Refund, reason: CancelReason) -> Decision:
    """Somebody else gave money back: all of it ends the order, of a part staff decide what it was for."""
    if state.refund(refund.id) is not None:
        return state, ()
    # Refunds of ours that are impossible with it free their lines, which are its lines then.
    made = replace(refund, stage=RefundStage.DONE)
    state = withdraw(replace(state, refunds=(*state.refunds, made)))
    if 0 < sum(line.owing for line in owed(state)) <= refund.amount:
        state = paid_back_by(state, made)
    state, told = given_back(state, state.refund(refund.id) or made, RefundStage.DONE)
    state, lost = losing_all(settle(state), refund.id, reason)
    return state, (*told, *lost)


def _undone(state: State, refund: Refund) -> Decision:
    """It failed at the provider: the money is ours again. One that was never heard of is kept, so that an older answer
    cannot bring it to life."""
    known = state.refund(refund.id)
    if known is None:
        return replace(state, refunds=(*state.refunds, replace(refund, stage=RefundStage.WITHDRAWN))), ()
    if not known.done:
        return state, ()
    state = freed(state.with_refund(replace(known, stage=RefundStage.WITHDRAWN)), known.id)
    return settle(state), came_back(known, "failed at the provider")


@on.register
def _dispute_seen(happening: h.DisputeSeen, state: State) -> Decision:
    payment = state.payment(happening.payment_id)
    if payment is None:
        return state, ()
    known = next((d for d in payment.disputes if d.id == happening.dispute_id), None)
    was = known.stage if known else None
    if FORWARD.index(happening.stage) <= FORWARD.index(was):
        return state, ()
    dispute = Dispute(
        id=happening.dispute_id,
        amount=known.amount if known else happening.amount,
        stage=happening.stage,
        reason=happening.reason,
    )
    others = tuple(d for d in payment.disputes if d.id != dispute.id)
    changed = replace(payment, disputes=(*others, dispute))
    state = replace(state, payments=tuple(changed if p.id == changed.id else p for p in state.payments))
    told = _told(payment.id, dispute, was)
    refund = Refund(id=uuid5(dispute.id, "lost"), payment=payment.id, amount=dispute.amount, origin=Origin.DISPUTE)
    if dispute.stage is DisputeStage.LOST:
        # A lost dispute is a refund that the bank has made.
        state, lost = _made_elsewhere(state, refund, CancelReason.DISPUTE_LOST)
        return state, (*told, *lost)
    if was is DisputeStage.LOST:
        state, back = _undone(state, refund)
        return state, (*told, *back)
    return settle(state), (*told, Tell(About.CHANGED))


def _told(payment: UUID, dispute: Dispute, was: DisputeStage | None) -> Commands:
    what = {
        DisputeStage.OPEN: Money.DISPUTED,
        DisputeStage.LOST: Money.DISPUTE_LOST,
        DisputeStage.WON: Money.DISPUTE_WON,
    }[dispute.stage]
    told = TellPayment(what=what, payment=payment, amount=dispute.amount, dispute=dispute.id, reason=dispute.reason)
    if dispute.stage is DisputeStage.OPEN:
        accounts = Account.DISPUTED, Account.CASH
    elif was is DisputeStage.OPEN:
        accounts = Account.CASH, Account.DISPUTED
    else:
        return (told,)
    debit, credit = accounts
    return Post(
        debit=debit, credit=credit, amount=dispute.amount, why=f"dispute {dispute.stage}", payment=payment
    ), told
