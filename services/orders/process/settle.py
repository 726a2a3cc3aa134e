"""The money of an order: what a payment's observation changes, and what must go back or be captured.

`settle` looks at the whole state and not at what happened, so a surplus is found whatever its cause: two payments at
once, a payment after a cancellation, tickets that could not be issued, a wrong amount.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID, uuid5

from contracts.orders import FunnelStage
from services.orders.process.commands import Account, Command, Commands, Money, Post, TellPayment, TellRefunded
from services.orders.process.happenings import PaymentSeen
from services.orders.process.state import (
    MANUAL,
    PAYABLE,
    Line,
    Payment,
    PaymentStage,
    Refund,
    RefundStage,
    State,
    Wanted,
)


def observe(payment: Payment, seen: PaymentSeen) -> Payment:
    """The payment after an observation; the same object when it tells nothing new.

    An observation that is not newer than what we know may only move forward: it was asked for before and came late.
    Money received stays received.
    """
    if payment.stage is PaymentStage.RECEIVED or seen.stage in (payment.stage, PaymentStage.OPEN):
        return payment
    late = seen.observed_at <= payment.observed_at
    forward = payment.stage is PaymentStage.OPEN or seen.stage is PaymentStage.RECEIVED
    if late and not forward:
        return payment
    # A declined card does not close its page, so a page that we want closed is still wanted closed.
    still_wanted = seen.stage is PaymentStage.HELD or (
        seen.stage is PaymentStage.FAILED and payment.wanted is Wanted.CANCEL
    )
    wanted = payment.wanted if still_wanted else None
    has_money = seen.stage in (PaymentStage.HELD, PaymentStage.RECEIVED)
    return replace(
        payment,
        stage=seen.stage,
        amount=seen.amount if has_money else 0,
        observed_at=seen.observed_at,
        wanted=wanted,
    )


def told(before: Payment, after: Payment, reason: str | None) -> Commands:
    """The events and ledger entries of a payment's change."""
    was_held = before.amount if before.stage is PaymentStage.HELD else 0
    commands: list[Command] = []
    if after.stage is PaymentStage.HELD:
        commands.append(TellPayment(what=Money.HELD, payment=after.id, amount=after.amount))
        commands.append(_post(Account.HELD, Account.BUYER, after.amount, "payment held", after.id))
    elif after.stage is PaymentStage.RECEIVED:
        commands.append(TellPayment(what=Money.RECEIVED, payment=after.id, amount=after.amount))
        commands.append(_post(Account.BUYER, Account.HELD, was_held, "hold captured", after.id))
        commands.append(_post(Account.CASH, Account.BUYER, after.amount, "payment received", after.id))
    elif before.stage is PaymentStage.HELD or after.stage is PaymentStage.FAILED:
        # A card page that we closed before anybody paid is nobody's news.
        why = reason or after.stage.value
        commands.append(TellPayment(what=Money.FAILED, payment=after.id, amount=was_held or after.asked, reason=why))
        commands.append(_post(Account.BUYER, Account.HELD, was_held, "hold let go", after.id))
    return tuple(c for c in commands if not (isinstance(c, Post) and c.amount == 0))


def _post(debit: Account, credit: Account, amount: int, why: str, payment: UUID | None = None) -> Post:
    return Post(debit=debit, credit=credit, amount=amount, why=why, payment=payment)


def sale(state: State) -> Commands:
    return (_post(Account.BUYER, Account.SALES, state.total, "order paid"),) if state.total else ()


def replace_lines(state: State, lines: Iterable[Line]) -> tuple[State, Commands]:
    """The order with some lines as they are now; what became void since is worth nothing any more."""
    changed = {line.id: line for line in lines}
    after = replace(state, lines=tuple(changed.get(line.id, line) for line in state.lines))
    amount = state.value - after.value
    posts = (_post(Account.SALES, Account.BUYER, amount, "lines taken back"),) if amount else ()
    return after, posts


def settle(state: State) -> State:
    """Withdraw refunds that cannot be, let surplus holds go, refund surplus money, capture holds whose goods exist."""
    state = withdraw(state)
    surplus = _surplus(state)
    if surplus > 0:
        state = _let_holds_go(state, surplus)
        state = _refund(state, _surplus(state))
    return _capture(state)


def _surplus(state: State) -> int:
    return state.money - state.value - _on_account(state)


def _on_account(state: State) -> int:
    """What staff have taken for an order of which the rest is still to come."""
    if state.stage is not FunnelStage.AWAITING_PAYMENT:
        return 0
    entered = [p for p in state.payments if p.provider == MANUAL]
    return sum(p.counted - state.refunded_of(p.id) for p in entered)


def withdraw(state: State) -> State:
    """Of a payment whose money somebody else took, a bank or a clerk at the dashboard, no more can go back than is
    left: what is still owed is asked for anew."""
    for payment in state.payments:
        for refund in reversed(state.refunds):
            committed = state.refunded_of(payment.id) + payment.disputed
            if payment.stage is not PaymentStage.RECEIVED or committed <= payment.amount:
                break
            if refund.payment != payment.id or refund.stage not in (RefundStage.PENDING, RefundStage.REFUSED):
                continue
            state = freed(state.with_refund(replace(refund, stage=RefundStage.WITHDRAWN)), refund.id)
    return state


def _let_holds_go(state: State, surplus: int) -> State:
    """Void whole holds, the latest first; one that is worth more than the surplus is captured and refunded in part."""
    payments = list(state.payments)
    for i in reversed(range(len(payments))):
        payment = payments[i]
        if payment.stage is PaymentStage.HELD and 0 < payment.counted <= surplus:
            payments[i] = replace(payment, wanted=Wanted.CANCEL)
            surplus -= payment.amount
    return replace(state, payments=tuple(payments))


def _refund(state: State, surplus: int) -> State:
    # The payment that came last is the surplus; what staff took by hand goes back last, as people must do it.
    latest = sorted(state.payments, key=lambda p: (p.provider != MANUAL, p.observed_at), reverse=True)
    for payment in latest:
        if surplus <= 0:
            break
        if payment.stage is not PaymentStage.RECEIVED:
            continue
        amount = min(surplus, payment.amount - state.refunded_of(payment.id) - payment.disputed)
        if amount <= 0:
            continue
        number = sum(r.payment == payment.id for r in state.refunds)
        refund = Refund(id=uuid5(payment.id, f"refund {number}"), payment=payment.id, amount=amount)
        state = paid_back_by(replace(state, refunds=(*state.refunds, refund)), refund)
        surplus -= amount
    return state


def asked_by_hand(before: State, after: State) -> Commands:
    """Tell of refunds that no provider can carry out, or none will."""
    known = {refund.id for refund in before.refunds if before.by_hand(refund)}
    return tuple(
        TellPayment(what=Money.REFUND_DUE, payment=refund.payment, amount=refund.amount, refund=refund.id)
        for refund in after.refunds
        if refund.id not in known and after.by_hand(refund)
    )


def owed(state: State) -> tuple[Line, ...]:
    """Sold lines of which something is gone that no refund pays back yet."""
    return tuple(line for line in state.lines if state.sold and line.owed)


def paid_back_by(state: State, refund: Refund) -> State:
    """A refund of the state gives the money of everything that is gone and not paid back yet."""
    lines = owed(state)
    paid = {line.id: line.paid_back(refund.id) for line in lines}
    state = state.with_refund(replace(refund, line_ids=tuple(paid)))
    return replace(state, lines=tuple(paid.get(line.id, line) for line in state.lines))


def freed(state: State, refund: UUID) -> State:
    """What a refund was to pay back is still to be paid back."""
    return replace(state, lines=tuple(line.unpaid_by(refund) for line in state.lines))


def _capture(state: State) -> State:
    """A hold is captured once what it pays for exists, never before."""
    if not (state.delivered and state.value > 0):
        return state
    payments = tuple(
        replace(p, wanted=Wanted.CAPTURE) if p.stage is PaymentStage.HELD and p.wanted is None else p
        for p in state.payments
    )
    return replace(state, payments=payments)


def let_go(state: State) -> State:
    """Close the card pages that can still be paid."""
    payments = tuple(replace(p, wanted=Wanted.CANCEL) if p.stage in PAYABLE else p for p in state.payments)
    return replace(state, payments=payments)


def hold_returned(state: State, before: Payment, after: Payment) -> tuple[State, Commands]:
    """A hold that we let go of was the refund of lines that are gone: tell it as one."""
    back = tuple(line.id for line in owed(state))
    if before.stage is not PaymentStage.HELD or before.wanted is not Wanted.CANCEL or not back:
        return state, ()
    if after.stage not in (PaymentStage.CANCELLED, PaymentStage.FAILED):
        return state, ()
    refund = uuid5(after.id, "hold returned")
    state = replace(state, lines=tuple(line.paid_back(refund) for line in state.lines))
    return state, (
        TellRefunded(refund=refund, amount=before.amount, line_ids=back, full=state.stage is FunnelStage.CANCELLED),
    )
