"""Finding, locking and creating orders."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.attributes import set_committed_value

from contracts.orders import FunnelStage
from services.orders import process
from services.orders.errors import IdTaken
from services.orders.order.lines import line_of
from services.orders.order.tables import Order
from services.orders.payments import tables
from services.orders.process.state import (
    CancelReason,
    Delivery,
    Dispute,
    DisputeStage,
    Origin,
    Payment,
    PaymentStage,
    Refund,
    RefundStage,
    State,
    Wanted,
)

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without the letters and digits that people mix up on the phone."""
NUMBERS_TO_TRY = 5

PARTS = (selectinload(Order.lines), selectinload(Order.payments), selectinload(Order.refunds))


async def load(session: AsyncSession, order_id: UUID, *, lock: bool = True) -> Order | None:
    """The order with its lines, payments and refunds; locked until the transaction ends, unless only read."""
    statement = select(Order).where(Order.id == order_id).options(*PARTS).execution_options(populate_existing=True)
    if lock:
        # The parts are read by later statements, so they are at least as new as the lock.
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def order_of_hold(session: AsyncSession, hold_id: UUID) -> Order | None:
    """The order of a hold: the one with its id, or the one that took it over."""
    order = await load(session, hold_id)
    if order is not None and order.merged_into is not None:
        return await load(session, order.merged_into)
    return order


async def create_order(session: AsyncSession, order_id: UUID, organisation: UUID, **fields: Any) -> Order:
    """The order's row, locked: a new one, or the one that another event has made in the meantime.

    Raises `IdTaken` if the id is of an order that row-level security does not show: another organisation's.
    """
    for attempt in range(NUMBERS_TO_TRY):
        values = {"id": order_id, "organisation": organisation, "number": number_of(order_id, attempt), **fields}
        made: Order | None = await session.scalar(
            insert(Order).values(values).on_conflict_do_nothing().returning(Order)
        )
        if made is not None:
            for part in ("lines", "payments", "refunds"):
                set_committed_value(made, part, [])
            return made
        existing = await load(session, order_id)
        if existing is not None:
            return existing
    raise IdTaken("Another order has this id. Make a new one.")


def number_of(order_id: UUID, attempt: int = 0) -> str:
    """What people say on the phone, such as K7MP-42XW. From the id and not from a counter, which all would wait for."""
    rest = int.from_bytes(hashlib.sha256(order_id.bytes + bytes([attempt])).digest()[:8])
    letters = []
    for _ in range(8):
        rest, letter = divmod(rest, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


def state_of(order: Order) -> process.State:
    """What the pure process sees of the rows."""
    return State(
        stage=FunnelStage(order.stage) if order.stage else None,
        lines=tuple(map(line_of, order.lines)),
        payments=tuple(map(_payment, order.payments)),
        refunds=tuple(map(_refund, order.refunds)),
        sold=order.sold,
        delivery=Delivery(order.delivery),
        hold_released=order.hold_released,
        due_at=order.due_at,
        cancelled_from=FunnelStage(order.cancelled_from) if order.cancelled_from else None,
        cancel_reason=CancelReason(order.cancel_reason) if order.cancel_reason else None,
    )


def _payment(row: tables.Payment) -> Payment:
    return Payment(
        id=row.id,
        provider=row.provider,
        asked=row.asked,
        stage=PaymentStage(row.stage),
        amount=row.amount,
        observed_at=row.observed_at,
        wanted=Wanted(row.wanted) if row.wanted else None,
        disputes=tuple(map(_dispute, row.disputes)),
    )


def _dispute(kept: dict[str, Any]) -> Dispute:
    return Dispute(id=UUID(kept["id"]), amount=kept["amount"], stage=DisputeStage(kept["stage"]), reason=kept["reason"])


def _refund(row: tables.Refund) -> Refund:
    return Refund(
        id=row.id,
        payment=row.payment_id,
        amount=row.amount,
        line_ids=tuple(row.line_ids),
        stage=RefundStage(row.stage),
        origin=Origin(row.origin),
        failures=row.failures,
    )
