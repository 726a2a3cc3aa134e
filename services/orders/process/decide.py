"""Every transition of an order (sections 1.4, 1.6 and 12 of the requirements; GAP-8, GAP-15, GAP-18)."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import (
    About,
    Account,
    Commands,
    Money,
    Post,
    RecordRefundFailed,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
    Unclaim,
)
from services.orders.process.settle import asked_by_hand, drop, hold_returned, let_go, observe, settle, told
from services.orders.process.state import (
    MANUAL,
    PAYABLE,
    CancelReason,
    Delivery,
    LineState,
    Payment,
    PaymentStage,
    Refund,
    State,
)
from services.orders.process.steps import (
    Decision,
    cancel_paid,
    cancel_unpaid,
    losing_money,
    pay,
    take_back,
    welcomes_money,
)


class NotPossible(Exception):
    """What a person asks does not fit the order's state. Facts are never refused."""


def decide(state: State, happening: h.Happening) -> Decision:
    """The order after `happening`, and what must be told and posted. Raises `NotPossible` for requests of people."""
    after, commands = _on(happening, state)
    return after, (*commands, *asked_by_hand(state, after))


@singledispatch
def _on(happening: h.Happening, state: State) -> Decision:
    raise TypeError(f"nothing decides {happening!r}")


@_on.register
def _hold_placed(happening: h.HoldPlaced, state: State) -> Decision:
    if state.stage is not None:
        return state, ()
    interested = replace(state, stage=FunnelStage.INTERESTED, lines=happening.lines)
    return interested, (Tell(About.INTERESTED),)


@_on.register
def _hold_extended(happening: h.HoldExtended, state: State) -> Decision:
    """Staff may give a buyer more time (TKT-20); no other prolongation of a placed order moves its deadline."""
    more = happening.pay_by
    if state.stage is FunnelStage.AWAITING_PAYMENT and more and state.due_at and more > state.due_at:
        return replace(state, due_at=more), (Tell(About.CHANGED),)
    return state, ()


@_on.register
def _hold_lapsed(happening: h.HoldLapsed, state: State) -> Decision:
    """Decided under the order's lock: a checkout was before this, and its events answer, or it is refused."""
    if state.stage in (FunnelStage.AWAITING_PAYMENT, FunnelStage.PAID):
        return state, ()
    return replace(state, hold_released=True), (Unclaim(),)


@_on.register
def _hold_released(happening: h.HoldReleased, state: State) -> Decision:
    state = replace(state, hold_released=True)
    if state.stage is not FunnelStage.AWAITING_PAYMENT or happening.by_expiry:
        # An expired hold of a placed order is asked for again when the money comes.
        return state, ()
    return cancel_unpaid(state, CancelReason.HOLD_RELEASED)


@_on.register
def _wished(happening: h.Wished, state: State) -> Decision:
    if state.stage is not None:
        return state, ()
    return replace(state, stage=happening.stage, lines=happening.lines), (Tell(About.CHANGED),)


@_on.register
def _checked_out(happening: h.CheckedOut, state: State) -> Decision:
    if state.stage not in (None, FunnelStage.INTERESTED):
        raise NotPossible("The order was already placed.")
    if state.hold_released:
        raise NotPossible("The seats are no longer held.")
    state = replace(state, stage=FunnelStage.AWAITING_PAYMENT, lines=happening.lines, due_at=happening.pay_by)
    state, paid = pay(state)
    return state, (Tell(About.PLACED), *paid)


@_on.register
def _method_changed(happening: h.MethodChanged, state: State) -> Decision:
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        raise NotPossible("The order does not await payment.")
    return let_go(replace(state, due_at=happening.pay_by)), (Tell(About.CHANGED),)


@_on.register
def _payment_opened(happening: h.PaymentOpened, state: State) -> Decision:
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        raise NotPossible("The order does not await payment.")
    payment = Payment(id=happening.payment_id, provider=happening.provider, asked=state.total)
    state = replace(state, payments=(*state.payments, payment))
    return state, (TellPayment(what=Money.STARTED, payment=payment.id, amount=payment.asked),)


@_on.register
def _payment_seen(happening: h.PaymentSeen, state: State) -> Decision:
    before = state.payment(happening.payment_id)
    if before is None:
        return state, ()
    after = observe(before, happening)
    if after is before:
        return state, ()
    state = replace(state, payments=tuple(after if p.id == after.id else p for p in state.payments))
    commands = told(before, after, happening.reason)
    if state.stage in (FunnelStage.PAID, FunnelStage.CANCELLED) and state.due_at is None:
        state = let_go(state)
    state, paid = pay(state)
    state, lost = losing_money(state, happening.payment_id)
    state, returned = hold_returned(state, before, after)
    return settle(state), (*commands, *paid, *lost, *returned)


@_on.register
def _pages_unwanted(happening: h.PagesUnwanted, state: State) -> Decision:
    """Decided before the provider is asked: money held there from now on must not pay an order, only to be let go."""
    return (let_go(state), ()) if welcomes_money(state) else (state, ())


@_on.register
def _marked_paid(happening: h.MarkedPaid, state: State) -> Decision:
    """Writes a manual payment; open card pages are closed, and money that comes by them later goes back."""
    if state.sold or not welcomes_money(state):
        raise NotPossible("Only an order that awaits payment can be marked as paid.")
    payment = Payment(
        id=happening.payment_id,
        provider=MANUAL,
        asked=state.total,
        stage=PaymentStage.RECEIVED,
        amount=state.total,
        observed_at=happening.at,
    )
    opened = Payment(id=payment.id, provider=payment.provider, asked=payment.asked)
    state = replace(state, payments=(*state.payments, payment))
    commands = told(opened, payment, None)
    state, paid = pay(state)
    return settle(state), (*commands, *paid)


@_on.register
def _deadline_passed(happening: h.DeadlinePassed, state: State) -> Decision:
    """First the order expires; its open payments are let go only after a grace, as money may be on its way."""
    if state.due_at is None or happening.now < state.due_at:
        return state, ()
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        return let_go(replace(state, due_at=None)), ()
    is_open = any(p.stage in PAYABLE for p in state.payments)
    expired = replace(
        state,
        stage=FunnelStage.CANCELLED,
        cancelled_from=state.stage,
        cancel_reason=CancelReason.EXPIRED,
        due_at=happening.grace_until if is_open else None,
    )
    return expired, (Tell(About.EXPIRED),)


@_on.register
def _cancel_asked(happening: h.CancelAsked, state: State) -> Decision:
    if state.stage is FunnelStage.PAID:
        return cancel_paid(state, happening.request_id, happening.reason, happening.note)
    if state.stage in (None, FunnelStage.CANCELLED):
        raise NotPossible("The order is already cancelled.")
    return cancel_unpaid(state, happening.reason, happening.note)


@_on.register
def _refund_asked(happening: h.RefundAsked, state: State) -> Decision:
    live = {line.id for line in state.lines if line.state is LineState.LIVE}
    ids = live if happening.line_ids is None else set(happening.line_ids)
    if state.stage is not FunnelStage.PAID or not ids:
        raise NotPossible("Nothing of the order can be refunded.")
    if not ids <= live:
        raise NotPossible("Some of the lines are not part of the order, or were already refunded.")
    over: Commands = ()
    if ids == live:
        state, over = _taken_back(state)
    state, commands = take_back(state, happening.request_id, ids, CancelReason.REFUNDED)
    return settle(state), (*commands, *over)


def _taken_back(state: State) -> Decision:
    state = replace(state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.REFUNDED)
    return state, (TellTakenBack(reason=CancelReason.REFUNDED),)


@_on.register
def _tickets_issued(happening: h.TicketsIssued, state: State) -> Decision:
    if state.delivery is not Delivery.REQUESTED:
        return state, ()
    state = replace(state, delivery=Delivery.ISSUED)
    confirmed = (Tell(About.CONFIRMED),) if state.stage is FunnelStage.PAID else ()
    return settle(state), confirmed


@_on.register
def _conversion_refused(happening: h.ConversionRefused, state: State) -> Decision:
    """No ticket can be had: everything goes back by itself."""
    if state.delivery is not Delivery.REQUESTED:
        return state, ()
    state = replace(state, delivery=Delivery.REFUSED)
    cancelled: Commands = ()
    if state.stage is FunnelStage.PAID:
        state = replace(
            state, stage=FunnelStage.CANCELLED, cancelled_from=state.stage, cancel_reason=CancelReason.SEATS_UNAVAILABLE
        )
        cancelled = (TellCancelled(was_paid=True, reason=CancelReason.SEATS_UNAVAILABLE),)
    state, posts = drop(state, {line.id for line in state.lines})
    return settle(state), (*cancelled, *posts)


@_on.register
def _tickets_voided(happening: h.TicketsVoided, state: State) -> Decision:
    """Void tickets are worth nothing: their money goes back, whoever asked (a cancelled show does so unasked)."""
    if not state.sold:
        return state, ()
    seats = set(happening.seats)
    gone = {x.id for x in state.lines if x.is_seat and (x.request == happening.request_id or x.reference in seats)}
    state, posts = drop(state, gone)
    over: Commands = ()
    if state.stage is FunnelStage.PAID and all(line.state is LineState.GONE for line in state.lines):
        state, over = _taken_back(state)
    return settle(state), (*posts, *over)


@_on.register
def _refund_done(happening: h.RefundDone, state: State) -> Decision:
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    return (state, ()) if refund is None or refund.done else _given_back(state, refund)


@_on.register
def _refund_confirmed(happening: h.RefundConfirmed, state: State) -> Decision:
    """What a provider sends back, the provider confirms."""
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    if refund is None or not state.by_hand(refund):
        raise NotPossible("No money of the order goes back by hand under this id.")
    if refund.done:
        raise NotPossible("The refund was already confirmed.")
    return _given_back(state, refund)


def _given_back(state: State, refund: Refund) -> Decision:
    state = _with_refund(state, replace(refund, done=True))
    full = state.received == state.refunded and state.value == 0
    is_surplus = state.stage is FunnelStage.PAID and not refund.line_ids
    return state, (
        Post(debit=Account.BUYER, credit=Account.CASH, amount=refund.amount, why="refunded", payment=refund.payment),
        TellPayment(
            what=Money.REFUNDED,
            payment=refund.payment,
            amount=refund.amount,
            refund=refund.id,
            reason="surplus" if is_surplus else state.cancel_reason or CancelReason.REFUNDED,
        ),
        Tell(About.CHANGED)
        if is_surplus
        else TellRefunded(refund=refund.id, amount=refund.amount, line_ids=refund.line_ids, full=full),
    )


@_on.register
def _refund_failed(happening: h.RefundFailed, state: State) -> Decision:
    """The provider refused; the money is still owed, so it is tried again under another idempotency key."""
    refund = next((r for r in state.refunds if r.id == happening.refund_id), None)
    if refund is None or refund.done:
        return state, ()
    failed = RecordRefundFailed(refund=refund.id, payment=refund.payment, amount=refund.amount, reason=happening.reason)
    return _with_refund(state, replace(refund, failures=refund.failures + 1)), (failed,)


def _with_refund(state: State, refund: Refund) -> State:
    return replace(state, refunds=tuple(refund if r.id == refund.id else r for r in state.refunds))
