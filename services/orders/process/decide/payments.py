"""What is learnt of payments: from providers, and from staff who have the money."""

from __future__ import annotations

from dataclasses import replace

from contracts.orders import FunnelStage
from services.orders.process import happenings as h
from services.orders.process.commands import Money, TellPayment
from services.orders.process.decide.dispatch import NotPossible, on
from services.orders.process.settle import hold_returned, let_go, observe, settle, told
from services.orders.process.state import MANUAL, Payment, PaymentStage, State
from services.orders.process.steps import Decision, losing_money, pay, welcomes_money


@on.register
def _payment_opened(happening: h.PaymentOpened, state: State) -> Decision:
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        raise NotPossible("The order does not await payment.")
    payment = Payment(id=happening.payment_id, provider=happening.provider, asked=state.total)
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
    state, lost = losing_money(state, happening.payment_id)
    state, returned = hold_returned(state, before, after)
    return settle(state), (*commands, *paid, *lost, *returned)


@on.register
def _pages_unwanted(happening: h.PagesUnwanted, state: State) -> Decision:
    """Decided before the provider is asked: money held there from now on must not pay an order, only to be let go."""
    return (let_go(state), ()) if welcomes_money(state) else (state, ())


@on.register
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
