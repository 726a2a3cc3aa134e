"""What ticketing does when something happens to an order.

Events may come twice and in any order, so every command begins by locking the order's row, which remembers what was:
a paid order is answered once, by tickets or by a refusal; an order that was cancelled before it had tickets never gets
any; seats that were revoked before there were tickets stay revoked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.logging import get_logger
from contracts.orders import OrderCancelled, OrderChanged, OrderExpired, OrderPaid, OrderPlaced, TicketsRevoked
from contracts.ticketing import HoldConversionRefused, HoldEnd, ShowStatus, TicketsVoided
from services.ticketing import metrics
from services.ticketing.holds import seats
from services.ticketing.holds.commands import end_hold, lock_hold, prolong
from services.ticketing.holds.tables import Hold, HoldStatus
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.tables import Show
from services.ticketing.tickets.issue import Printer, issue, to_ticket
from services.ticketing.tickets.recipients import seat_lines
from services.ticketing.tickets.tables import OrderRecord, OrderStage, TicketRow

log = get_logger(__name__)

CLOSED_SHOWS = {ShowStatus.CANCELLED, ShowStatus.FINISHED}


async def order_awaits_payment(
    session: AsyncSession, organisation: UUID, order: OrderPlaced | OrderChanged, buffer: timedelta
) -> None:
    """An order awaits payment: its hold lives until then and a little longer."""
    if order.show_id is None or order.pay_by is None:
        return
    record = await _lock(session, order.order_id, organisation, order.show_id)
    if record.stage != OrderStage.OPEN:
        return
    hold = await lock_hold(session, order.order_id)
    if hold is None or hold.status not in (HoldStatus.ACTIVE, HoldStatus.LAPSED, HoldStatus.EXPIRED):
        return
    until = order.pay_by + buffer
    if hold.status == HoldStatus.ACTIVE and until <= hold.expires_at:
        return
    if until <= await seats.database_now(session):
        return
    if not await prolong(session, hold, until):
        log.warning("seats of a placed order were lost", order_id=str(order.order_id))


async def order_paid(
    session: AsyncSession, board: Board, printer: Printer, organisation: UUID, order: OrderPaid
) -> None:
    """Makes tickets of the hold, exactly once. A hold that ran out gets the same seats again if all of them are free;
    if not, and when the order or the show is closed, the conversion is refused, so that the buyer is refunded."""
    lines = seat_lines(order)
    if order.show_id is None or not lines:
        return
    record = await _lock(session, order.order_id, organisation, order.show_id)
    if record.stage in (OrderStage.ISSUED, OrderStage.REFUSED):
        return
    hold = await lock_hold(session, order.order_id)
    wanted = [line for line in lines if line.reference not in record.revoked_seats]
    if record.stage == OrderStage.CLOSED:
        await _refuse(session, record, hold, [line.reference for line in lines], "the order was cancelled")
        return
    if not wanted:
        await _close(session, record, hold, HoldEnd.ANNULLED)
        return
    layout = await _layout(session, board, order.show_id)
    if layout is None or layout.organisation != organisation or layout.status in CLOSED_SHOWS:
        await _refuse(session, record, hold, [line.reference for line in wanted], "the show is closed")
        return
    names = [line.reference for line in wanted]
    if lost := await _sell(session, hold, organisation, order.show_id, order.order_id, names):
        await _refuse(session, record, hold, sorted(lost), "the seats were sold to somebody else")
        # What a hold that had ended before took again just now.
        await seats.free(session, order.show_id, order.order_id, names)
        return
    record.stage = OrderStage.ISSUED
    record.account_id = order.customer.account_id if order.customer else None
    record.version += 1
    await session.flush()
    await issue(session, printer, record, layout, order, wanted)


async def _sell(
    session: AsyncSession, hold: Hold | None, organisation: UUID, show_id: UUID, hold_id: UUID, names: Sequence[str]
) -> set[str]:
    """Keeps these seats of the hold for ever and lets go of its others. Returns those that somebody else has; if there
    are any, what was kept is the caller's to free."""
    taken = await seats.keep(
        session, organisation=organisation, show_id=show_id, hold_id=hold_id, seats=names, until=None
    )
    lost = set(names) - taken
    if hold is not None and not lost:
        await seats.free(session, show_id, hold_id, sorted(set(hold.seats) - taken))
        hold.status = HoldStatus.CONVERTED
        hold.version += 1
    return lost


async def order_cancelled(session: AsyncSession, organisation: UUID, order: OrderCancelled | OrderExpired) -> None:
    """Lets the hold go. A cancelled order never gets tickets afterwards; one that was not paid in time still may,
    should its payment come late. Tickets that exist are voided by `tickets_revoked`, not by this."""
    if order.show_id is None:
        return
    record = await _lock(session, order.order_id, organisation, order.show_id)
    if record.stage != OrderStage.OPEN:
        return
    hold = await lock_hold(session, order.order_id)
    if isinstance(order, OrderCancelled):
        await _close(session, record, hold, HoldEnd.ANNULLED)
    elif hold is not None:
        await end_hold(session, hold, HoldEnd.EXPIRED)


async def seats_unclaimed(session: AsyncSession, order_id: UUID) -> None:
    """Orders has answered that nobody ordered the seats of a lapsed hold, and nobody will: they are free again."""
    hold = await lock_hold(session, order_id)
    if hold is not None and hold.status == HoldStatus.LAPSED:
        await end_hold(session, hold, HoldEnd.EXPIRED)


async def tickets_revoked(session: AsyncSession, board: Board, organisation: UUID, revoked: TicketsRevoked) -> None:
    """Voids the tickets of some seats and frees those, and says so with the same request id: every time it is asked,
    also when they were void already, and when there were none yet: then there will be none."""
    record = await _lock(session, revoked.order_id, organisation, revoked.show_id)
    layout = await _layout(session, board, revoked.show_id)
    if layout is None or layout.organisation != organisation:
        log.error("tickets revoked of an unknown show", order_id=str(revoked.order_id))
        return
    record.revoked_seats = sorted({*record.revoked_seats, *revoked.seats})
    record.version += 1
    await session.flush()
    rows = await _tickets(session, record, revoked.seats)
    now = await seats.database_now(session)
    living = [row for row in rows if row.voided_at is None]
    for row in living:
        row.voided_at = now
        row.void_reason = revoked.reason
    await session.flush()
    if living:
        await seats.free(session, record.show_id, record.id, [row.seat for row in living])
        metrics.TICKETS.labels("voided").inc(len(living))
    outbox.add(
        session,
        TicketsVoided(
            order_id=record.id,
            show_id=record.show_id,
            show_name=layout.name,
            starts_at=layout.starts_at,
            tickets=tuple(to_ticket(row, row.label) for row in rows),
            reason=revoked.reason,
            request_id=revoked.request_id,
        ),
        organisation=organisation,
        version=record.version,
        correlation_id=str(record.id),
    )


async def _lock(session: AsyncSession, order_id: UUID, organisation: UUID, show_id: UUID) -> OrderRecord:
    """The order's row, made at the first event; nobody else handles the order until the transaction ends."""
    await session.execute(
        insert(OrderRecord)
        .values(id=order_id, organisation=organisation, show_id=show_id)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return (
        await session.scalars(
            select(OrderRecord)
            .where(OrderRecord.id == order_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).one()


async def _layout(session: AsyncSession, board: Board, show_id: UUID) -> Layout | None:
    version = await session.scalar(select(Show.version).where(Show.id == show_id))
    if version is None:
        return None
    layout = board.peek(show_id)
    return layout if layout is not None and layout.version == version else await board.read(session, show_id)


async def _refuse(
    session: AsyncSession, record: OrderRecord, hold: Hold | None, lost: Sequence[str], reason: str
) -> None:
    """Answers a paid order that it cannot have its tickets, and gives up the seats that it has."""
    if record.stage != OrderStage.CLOSED:
        record.stage = OrderStage.REFUSED
    record.version += 1
    version = record.version
    if hold is not None:
        await end_hold(session, hold, HoldEnd.ANNULLED)
        hold.version += 1
        version = hold.version
    await session.flush()
    metrics.CONVERSIONS_REFUSED.inc()
    log.warning("paid order cannot have its tickets", order_id=str(record.id), reason=reason, seats=list(lost))
    outbox.add(
        session,
        HoldConversionRefused(hold_id=record.id, show_id=record.show_id, seats=tuple(lost), reason=reason),
        organisation=record.organisation,
        version=version,
        correlation_id=str(record.id),
    )


async def _close(session: AsyncSession, record: OrderRecord, hold: Hold | None, reason: HoldEnd) -> None:
    record.stage = OrderStage.CLOSED
    record.version += 1
    await session.flush()
    if hold is not None:
        await end_hold(session, hold, reason)


async def _tickets(session: AsyncSession, record: OrderRecord, wanted: Sequence[str]) -> list[TicketRow]:
    rows = await session.scalars(
        select(TicketRow)
        .where(TicketRow.order_id == record.id, TicketRow.seat.in_(list(wanted)))
        .order_by(TicketRow.number)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(rows)
