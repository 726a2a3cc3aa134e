"""Writing the process's new state into the rows, and when each provider must be asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.orders import FunnelStage, PaymentStatus
from services.orders.order.lines import keep_line
from services.orders.order.tables import Order
from services.orders.payments.tables import Payment as PaymentRow
from services.orders.payments.tables import PaymentEvent, Refund
from services.orders.process import State
from services.orders.process.state import Delivery, Payment, PaymentStage, RefundStage

FIRST_POLL = timedelta(seconds=5)
HELD_POLL = timedelta(minutes=5)
"""A hold that waits for its tickets may lapse at the provider."""
REFUND_RETRY = timedelta(seconds=30)


async def keep(session: AsyncSession, order: Order, before: State, after: State, source: str) -> None:
    now = datetime.now(UTC)
    _keep_order(order, after, now)
    _keep_lines(order, before, after)
    log = _keep_payments(order, before, after, now, source)
    _keep_refunds(order, before, after, now)
    if log:
        # The log refers to rows that may be new.
        await session.flush()
        await session.execute(insert(PaymentEvent), log)


def _keep_order(order: Order, after: State, now: datetime) -> None:
    order.stage = after.stage
    order.payment_status = after.payment_status
    order.delivery = after.delivery
    order.sold = after.sold
    order.overpaid = after.overpaid
    order.hold_released = after.hold_released
    order.due_at = after.due_at
    order.cancelled_from = after.cancelled_from
    order.cancel_reason = after.cancel_reason
    order.total = after.total
    order.paid = after.received
    order.refunded = after.refunded
    order.refund_due = after.due_by_hand
    order.disputed = after.disputed
    order.missing = after.missing
    if after.stage is FunnelStage.AWAITING_PAYMENT:
        order.pay_by = after.due_at
    stamps = {
        "placed_at": after.stage is FunnelStage.AWAITING_PAYMENT or after.sold,
        "held_at": after.payment_status is PaymentStatus.HOLD,
        "paid_at": after.received > 0 or (after.sold and not after.total),
        "confirmed_at": after.delivered and after.delivery is not Delivery.REFUSED,
        "cancelled_at": after.stage is FunnelStage.CANCELLED,
        "money_refunded_at": after.payment_status is PaymentStatus.MONEY_REFUNDED,
    }
    for name, reached in stamps.items():
        # A date already set is never lost (GAP-2): not even that of the expiry of an order which late money revived.
        if reached and getattr(order, name) is None:
            setattr(order, name, now)


def _keep_lines(order: Order, before: State, after: State) -> None:
    rows = {row.id: row for row in order.lines}
    known = {line.id: line for line in before.lines}
    for line in after.lines:
        if known.get(line.id) != line:
            keep_line(rows[line.id], line)


def _keep_payments(order: Order, before: State, after: State, now: datetime, source: str) -> list[dict[str, object]]:
    """Updates the rows; returns what the log of payments must say."""
    rows = {row.id: row for row in order.payments}
    log: list[dict[str, object]] = []
    for payment in after.payments:
        known = before.payment(payment.id)
        if payment == known:
            continue
        row = rows.get(payment.id)
        if row is None:
            row = PaymentRow(
                id=payment.id,
                organisation=order.organisation,
                order_id=order.id,
                provider=payment.provider,
                asked=payment.asked,
                currency=order.currency,
                attempts=0,
            )
            order.payments.append(row)
        if row.wanted != payment.wanted:
            row.wanted_since = now if payment.wanted else None
        row.stage, row.amount, row.wanted = payment.stage, payment.amount, payment.wanted
        row.observed_at = payment.observed_at
        row.disputes = _disputes(row, payment, now)
        row.due_at, row.attempts = next_poll(payment, now), 0
        if known is None or known.stage is not payment.stage:
            log.append(
                {
                    "organisation": order.organisation,
                    "order_id": order.id,
                    "payment_id": payment.id,
                    "stage": payment.stage.value,
                    "amount": payment.amount,
                    "source": source,
                    "reason": row.reason,
                    "observed_at": payment.observed_at,
                }
            )
    return log


def _disputes(row: PaymentRow, payment: Payment, now: datetime) -> list[dict[str, object]]:
    kept = {dispute["id"]: dispute for dispute in row.disputes or []}
    for dispute in payment.disputes:
        id_, stage = str(dispute.id), dispute.stage.value
        known = kept.get(id_, {})
        if known.get("stage") != stage:
            kept[id_] = {
                **known,
                "id": id_,
                "amount": dispute.amount,
                "stage": stage,
                "reason": dispute.reason,
                f"{stage}_at": now.isoformat(),
            }
    return list(kept.values())


def next_poll(payment: Payment, now: datetime) -> datetime | None:
    """When to ask the provider about it: as long as it may still bring money, or must be captured or closed."""
    if payment.stage in (PaymentStage.RECEIVED, PaymentStage.CANCELLED, PaymentStage.REVERSED):
        return None
    if payment.wanted is not None:
        return now
    return now + (HELD_POLL if payment.stage is PaymentStage.HELD else FIRST_POLL)


def _keep_refunds(order: Order, before: State, after: State, now: datetime) -> None:
    rows = {row.id: row for row in order.refunds}
    known = {refund.id: refund for refund in before.refunds}
    for refund in after.refunds:
        if known.get(refund.id) == refund:
            continue
        row = rows.get(refund.id)
        if row is None:
            row = Refund(
                id=refund.id,
                organisation=order.organisation,
                order_id=order.id,
                payment_id=refund.payment,
                amount=refund.amount,
                line_ids=list(refund.line_ids),
                origin=refund.origin,
                failures=0,
                attempts=0,
                # What came by hand waits for the people who send it back.
                due_at=None if after.by_hand(refund) else now,
                created_at=now,
            )
            order.refunds.append(row)
        row.failures = refund.failures
        if refund.failures > (known[refund.id].failures if refund.id in known else 0):
            row.reference = None
            row.due_at = now + REFUND_RETRY * min(2**refund.failures, 120)
        row.stage = refund.stage
        if refund.stage is not RefundStage.PENDING:
            row.due_at = None
        if refund.done != (row.done_at is not None):
            row.done_at = now if refund.done else None
