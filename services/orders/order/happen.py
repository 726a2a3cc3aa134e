"""Decide, write, tell: one transition of an order inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from contracts.envelope import EventData
from services.orders import metrics
from services.orders.courses.commands import open_enrolments
from services.orders.errors import NotPossibleNow
from services.orders.order import keep, ledger
from services.orders.order.load import state_of
from services.orders.order.searched import keep_searchable
from services.orders.order.tables import HistoryEntry, Order
from services.orders.order.told import changed_event, event_of
from services.orders.process import Command, Happening, NotPossible, State, decide
from services.orders.process.commands import (
    OpenEnrolments,
    Post,
    RecordRefundFailed,
    RevokeTickets,
    Tell,
    TellCancelled,
    TellPayment,
    TellRefunded,
    TellTakenBack,
    Unclaim,
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what made it happen, for the history and the log of payments."""

    actor: str
    source: str = "system"
    details: dict[str, Any] = field(default_factory=dict)


async def happen(session: AsyncSession, order: Order, happening: Happening, cause: Cause) -> State:
    """Apply a happening to a locked order. Raises `NotPossibleNow` for what a person may not ask now."""
    before = state_of(order)
    try:
        after, commands = decide(before, happening)
    except NotPossible as refusal:
        raise NotPossibleNow(str(refusal), stage=order.stage) from None
    if after == before and not commands:
        return after
    await keep.keep(session, order, before, after, cause.source)
    if all(isinstance(command, Post | OpenEnrolments | RecordRefundFailed) for command in commands):
        order.version += 1
    for command in commands:
        await _carry_out(session, order, command, cause)
    await keep_searchable(session, order)
    await session.flush()
    metrics.seen(before, after)
    return after


async def _carry_out(session: AsyncSession, order: Order, command: Command, cause: Cause) -> None:
    if isinstance(command, Post):
        await ledger.post(session, order, command)
        return
    if isinstance(command, OpenEnrolments):
        for opened in await open_enrolments(session, order):
            publish(session, order, opened)
        return
    if not isinstance(command, RecordRefundFailed):
        publish(session, order, event_of(order, command))
    if isinstance(command, Unclaim):
        return
    what, details = _story(order, command)
    record(session, order, what, cause, **details)


def publish(session: AsyncSession, order: Order, data: EventData) -> None:
    """The version grows with every event, so that a reader of either topic can tell which one is newer."""
    order.version += 1
    outbox.add(session, data, organisation=order.organisation, version=order.version, correlation_id=str(order.id))


async def changed(session: AsyncSession, order: Order, what: str, cause: Cause, **details: Any) -> None:
    """Tell and record an edit that is no transition: customer, participants, notes."""
    publish(session, order, changed_event(order))
    record(session, order, what, cause, **details)
    await keep_searchable(session, order)
    await session.flush()


def record(session: AsyncSession, order: Order, what: str, cause: Cause, **details: Any) -> None:
    """One line of the order's history."""
    session.add(
        HistoryEntry(
            organisation=order.organisation,
            order_id=order.id,
            actor=cause.actor,
            what=what,
            details={**cause.details, **details},
            version=order.version,
        )
    )


def _story(order: Order, command: Command) -> tuple[str, dict[str, Any]]:
    """How the history calls what was told."""
    if isinstance(command, Tell):
        return command.what.value, {}
    if isinstance(command, TellCancelled):
        return "cancelled", {"was_paid": command.was_paid, "reason": command.reason}
    if isinstance(command, TellTakenBack):
        return "cancelled", {"was_paid": True, "reason": command.reason}
    if isinstance(command, RevokeTickets):
        return "tickets_revoked", {"seats": list(command.seats), "reason": command.reason} | _places(command)
    if isinstance(command, TellRefunded):
        return "refunded", {"amount": command.amount, "full": command.full, "lines": _texts(command.line_ids)}
    if isinstance(command, TellPayment | RecordRefundFailed):
        payment = next(p for p in order.payments if p.id == command.payment)
        details = {"amount": command.amount, "provider": payment.provider, "payment_id": str(payment.id)}
        what = "refund_failed" if isinstance(command, RecordRefundFailed) else f"payment_{command.what.value}"
        if isinstance(command, TellPayment) and command.dispute:
            details["dispute_id"] = str(command.dispute)
        refund = {"refund_id": str(command.refund)} if command.refund else {}
        return what, details | refund | ({"reason": command.reason} if command.reason else {})
    raise TypeError(f"{command!r} is not told")


def _places(command: RevokeTickets) -> dict[str, Any]:
    return {"places": {str(line): quantity for line, quantity in command.places}} if command.places else {}


def _texts(ids: tuple[UUID, ...]) -> list[str]:
    return [str(id_) for id_ in ids]
