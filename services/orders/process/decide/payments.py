"""What is learnt of payments: from providers, and from staff who have the money."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import About, Account, Commands, Money, Post, Tell, TellPayment
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.settle import freed, hold_returned, let_go, observe, settle, told
from services.orders.process.state import MANUAL, CancelReason, Payment, PaymentStage, RefundStage, State
from services.orders.process.steps import Decision, cancel_quietly, losing_money, pay, welcomes_money


@on.register
def _payment_opened(happening: h.PaymentOpened, state: State) -> Decision:
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        raise NotPossible("The order does not await payment.")
    payment = Payment(id=happening.payment_id, provider=happening.provider, asked=state.missing)
    state = replace(state, payments=(*state.payments, payment))
    return state, (TellPayment(what=Money.STARTED, payment=payment.id, amount=payment.asked),)


@on.register
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
    state, lost = losing_money(state, before, after)
    state, returned = hold_returned(state, before, after)
    return settle(state), (*commands, *paid, *lost, *returned)


@on.register
def _pages_unwanted(happening: h.PagesUnwanted, state: State) -> Decision:
    """Decided before the provider is asked: money held there from now on must not pay an order, only to be let go."""
    return (let_go(state), ()) if welcomes_money(state) else (state, ())


@on.register
def _marked_paid(happening: h.MarkedPaid, state: State) -> Decision:
    """Writes a manual payment; open card pages are closed, and money that comes by them later goes back."""
    if not welcomes_money(state):
        raise NotPossible("Only an order that awaits payment can be marked as paid.")
    amount = max(state.total - state.money, 0) if happening.amount is None else happening.amount
    payment = Payment(
        id=happening.payment_id,
        provider=MANUAL,
        asked=amount,
        stage=PaymentStage.RECEIVED,
        amount=amount,
        observed_at=happening.at,
    )
    opened = Payment(id=payment.id, provider=payment.provider, asked=payment.asked)
    state = replace(state, payments=(*state.payments, payment))
    commands = told(opened, payment, None)
    state, paid = pay(state)
    partly: Commands = () if state.sold else (Tell(About.CHANGED),)
    return settle(state), (*commands, *paid, *partly)


@on.register
def _entry_reversed(happening: h.EntryReversed, state: State) -> Decision:
    """Nothing goes back, as nothing came. An order that was paid by it alone ends, and nobody is told of it."""
    payment = state.payment(happening.payment_id)
    if payment is None or payment.provider != MANUAL or payment.stage is not PaymentStage.RECEIVED:
        raise NotPossible("Only a payment that staff entered, and that stands, can be reversed.")
    if any(r.payment == payment.id and (r.done or r.stage is RefundStage.WRITTEN_OFF) for r in state.refunds):
        raise NotPossible("Some of the money was refunded, so there was some.")
    reversed_ = replace(payment, stage=PaymentStage.REVERSED)
    state = replace(state, payments=tuple(reversed_ if p.id == payment.id else p for p in state.payments))
    for refund in state.refunds:
        if refund.payment == payment.id:
            state = freed(state.with_refund(replace(refund, stage=RefundStage.WITHDRAWN)), refund.id)
    commands = (
        Post(debit=Account.BUYER, credit=Account.CASH, amount=payment.amount, why="entry reversed", payment=payment.id),
        TellPayment(what=Money.REVERSED, payment=payment.id, amount=payment.amount),
    )
    if state.stage is FunnelStage.PAID and state.money < state.value:
        state, ended = cancel_quietly(state, payment.id, CancelReason.ENTRY_REVERSED)
        return state, (*commands, *ended)
    return settle(state), (*commands, Tell(About.CHANGED))
