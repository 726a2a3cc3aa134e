"""What ticketing does when something happens to an order.

Events may come twice and in any order, so every command begins by locking the order's row, which remembers what was:
a paid order is answered once, by tickets or by a refusal; an order that was cancelled before it had tickets never gets
any; seats that were revoked before there were tickets stay revoked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.logging import get_logger
from contracts.orders import (
    LineKind,
    OrderCancelled,
    OrderChanged,
    OrderExpired,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    TicketsRevoked,
)
from contracts.ticketing import (
    FULL_FARE,
    Channel,
    HoldConversionRefused,
    HoldEnd,
    PlacesOf,
    ShowStatus,
    TicketsVoided,
)
from services.ticketing import metrics
from services.ticketing.holds import counters, seats
from services.ticketing.holds.commands import end_hold, lock_hold, prolong
from services.ticketing.holds.tables import Hold, HoldStatus
from services.ticketing.shows.board import Board
from services.ticketing.shows.layout import Layout
from services.ticketing.shows.tables import Show
from services.ticketing.tickets.issue import Printer, issue, to_ticket
from services.ticketing.tickets.recipients import Held, holds_of
from services.ticketing.tickets.tables import OrderRecord, OrderStage, TicketRow

log = get_logger(__name__)

CLOSED_SHOWS = {ShowStatus.CANCELLED, ShowStatus.FINISHED}


async def order_awaits_payment(
    session: AsyncSession, organisation: UUID, order: OrderPlaced | OrderChanged, buffer: timedelta
) -> None:
    """An order awaits payment: its holds live until then and a little longer."""
    if order.pay_by is None:
        return
    for held in holds_of(order):
        record = await _lock(session, held.hold_id, organisation, held.show_id, order.order_id)
        if record.stage == OrderStage.OPEN:
            await _keep_until(session, held.hold_id, order.pay_by + buffer)


async def _keep_until(session: AsyncSession, hold_id: UUID, until: datetime) -> None:
    hold = await lock_hold(session, hold_id)
    if hold is None or hold.status not in (HoldStatus.ACTIVE, HoldStatus.LAPSED, HoldStatus.EXPIRED):
        return
    if hold.status == HoldStatus.ACTIVE and until <= hold.expires_at:
        return
    if until <= await seats.database_now(session):
        return
    if not await prolong(session, hold, until):
        log.warning("seats of a placed order were lost", hold_id=str(hold_id))


async def order_paid(
    session: AsyncSession, board: Board, printer: Printer, organisation: UUID, order: OrderPaid
) -> None:
    """Makes tickets of each hold, exactly once. A hold that ran out gets the same again if all of it is free; if not,
    and when the order or the show is closed, the conversion is refused, so that the buyer is refunded."""
    for held in holds_of(order):
        await _hold_paid(session, board, printer, organisation, order, held)


async def _hold_paid(
    session: AsyncSession, board: Board, printer: Printer, organisation: UUID, order: OrderPaid, held: Held
) -> None:
    record = await _lock(session, held.hold_id, organisation, held.show_id, order.order_id)
    if record.stage in (OrderStage.ISSUED, OrderStage.REFUSED):
        return
    hold = await lock_hold(session, held.hold_id)
    if record.stage == OrderStage.CLOSED:
        await _refuse(session, record, hold, Lost.of(held.lines), "the order was cancelled")
        return
    wanted = _unrevoked(record, held.lines)
    if not wanted:
        await _close(session, record, hold, HoldEnd.ANNULLED)
        return
    layout = await _layout(session, board, held.show_id)
    if layout is None or layout.organisation != organisation or layout.status in CLOSED_SHOWS:
        await _refuse(session, record, hold, Lost.of(wanted), "the show is closed")
        return
    if lost := await _sell(session, hold, record, Lost.of(wanted)):
        await _refuse(session, record, hold, lost, "the seats were sold to somebody else")
        # What a hold that had ended before took again just now.
        await seats.free(session, record.show_id, record.id, Lost.of(wanted).seats)
        await counters.free(session, record.id)
        return
    record.stage = OrderStage.ISSUED
    record.account_id = order.customer.account_id if order.customer else None
    record.version += 1
    await session.flush()
    await issue(session, printer, record, layout, order, wanted, hold.channel if hold else Channel.SITE)


@dataclass(frozen=True, slots=True)
class Lost:
    """Seats and places by name: what is wanted, or what of it somebody else has."""

    seats: tuple[str, ...]
    places: tuple[PlacesOf, ...]

    @classmethod
    def of(cls, lines: Sequence[OrderLine]) -> Lost:
        return cls(
            tuple(line.reference for line in lines if line.kind != LineKind.PLACE),
            tuple(
                PlacesOf(area=UUID(line.reference), fare=line.fare or FULL_FARE, quantity=line.quantity)
                for line in lines
                if line.kind == LineKind.PLACE
            ),
        )

    @property
    def quantities(self) -> dict[tuple[UUID, str], int]:
        return {(each.area, each.fare): each.quantity for each in self.places}

    def __bool__(self) -> bool:
        return bool(self.seats or self.places)


def _unrevoked(record: OrderRecord, lines: Sequence[OrderLine]) -> list[OrderLine]:
    """The lines less what was revoked of them before there were tickets."""
    gone = Counter[str]()
    for request in record.revoked_places.values():
        gone.update(request)
    left = [
        line.model_copy(update={"quantity": line.quantity - gone[str(line.line_id)]})
        if line.kind == LineKind.PLACE
        else line
        for line in lines
        if line.kind == LineKind.PLACE or line.reference not in record.revoked_seats
    ]
    return [line for line in left if line.quantity > 0]


async def _sell(session: AsyncSession, hold: Hold | None, record: OrderRecord, wanted: Lost) -> Lost:
    """Keeps these seats and places of the hold for ever and lets go of its others. Returns what somebody else has; if
    there is any, what was kept is the caller's to free."""
    mine: dict[str, Any] = {
        "organisation": record.organisation,
        "show_id": record.show_id,
        "hold_id": record.id,
        "until": None,
    }
    taken = await seats.keep(session, **mine, seats=wanted.seats)
    lost = Lost(
        tuple(sorted(set(wanted.seats) - taken)), await counters.keep(session, **mine, wanted=wanted.quantities)
    )
    if hold is not None and not lost:
        await seats.free(session, record.show_id, record.id, sorted(set(hold.seats) - taken))
        sold = wanted.quantities
        has = await counters.has(session, record.id) if hold.places else {}
        await counters.free(session, record.id, {key: quantity - sold.get(key, 0) for key, quantity in has.items()})
        hold.status = HoldStatus.CONVERTED
        hold.version += 1
    return lost


async def order_cancelled(session: AsyncSession, organisation: UUID, order: OrderCancelled | OrderExpired) -> None:
    """Lets the holds go. A cancelled order never gets tickets afterwards; one that was not paid in time still may,
    should its payment come late. Tickets that exist are voided by `tickets_revoked`, not by this."""
    for held in holds_of(order):
        record = await _lock(session, held.hold_id, organisation, held.show_id, order.order_id)
        if record.stage != OrderStage.OPEN:
            continue
        hold = await lock_hold(session, held.hold_id)
        if isinstance(order, OrderCancelled):
            await _close(session, record, hold, HoldEnd.ANNULLED)
        elif hold is not None:
            await end_hold(session, hold, HoldEnd.EXPIRED)


async def seats_unclaimed(session: AsyncSession, hold_id: UUID) -> None:
    """Orders has answered that nobody ordered what a lapsed hold has, and nobody will: it is free again."""
    hold = await lock_hold(session, hold_id)
    if hold is not None and hold.status == HoldStatus.LAPSED:
        await end_hold(session, hold, HoldEnd.EXPIRED)


async def tickets_revoked(session: AsyncSession, board: Board, organisation: UUID, revoked: TicketsRevoked) -> None:
    """Voids the tickets of some seats, and so many of some lines of places, and frees those; says so with the same
    request id, every time it is asked, also when they were void already, and when there were none yet: then there will
    be none."""
    hold_id = revoked.hold_id or revoked.order_id
    record = await _lock(session, hold_id, organisation, revoked.show_id, revoked.order_id)
    layout = await _layout(session, board, revoked.show_id)
    if layout is None or layout.organisation != organisation:
        log.error("tickets revoked of an unknown show", order_id=str(revoked.order_id))
        return
    rows = await _tickets(session, record, revoked)
    record.revoked_seats = sorted({*record.revoked_seats, *revoked.seats})
    record.revoked_places = {
        **record.revoked_places,
        str(revoked.request_id): {str(line.line_id): line.quantity for line in revoked.places},
    }
    record.version += 1
    await session.flush()
    await _void(session, record, [row for row in rows if row.voided_at is None], revoked)
    outbox.add(
        session,
        TicketsVoided(
            order_id=record.order_id,
            hold_id=record.id,
            show_id=record.show_id,
            show_name=layout.name,
            starts_at=layout.starts_at,
            tickets=tuple(to_ticket(row, row.label) for row in rows),
            reason=revoked.reason,
            request_id=revoked.request_id,
        ),
        organisation=organisation,
        version=record.version,
        correlation_id=str(record.order_id),
    )


async def _void(
    session: AsyncSession, record: OrderRecord, living: Sequence[TicketRow], revoked: TicketsRevoked
) -> None:
    """Makes tickets void; their seats and places are free again."""
    now = await seats.database_now(session)
    places = Counter[tuple[UUID, str]]()
    for row in living:
        row.voided_at, row.void_reason, row.void_request = now, revoked.reason, revoked.request_id
        if row.area_id is not None:
            places[row.area_id, row.fare] += 1
    await session.flush()
    if not living:
        return
    await seats.free(session, record.show_id, record.id, [row.seat for row in living if row.seat is not None])
    await counters.free(session, record.id, places)
    metrics.TICKETS.labels("voided").inc(len(living))


async def _lock(session: AsyncSession, hold_id: UUID, organisation: UUID, show_id: UUID, order_id: UUID) -> OrderRecord:
    """The row of a hold of an order, made at the first event; nobody else handles it until the transaction ends."""
    await session.execute(
        insert(OrderRecord)
        .values(id=hold_id, organisation=organisation, show_id=show_id, order_id=order_id)
        .on_conflict_do_nothing(index_elements=["id"])
    )
    return (
        await session.scalars(
            select(OrderRecord)
            .where(OrderRecord.id == hold_id)
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


async def _refuse(session: AsyncSession, record: OrderRecord, hold: Hold | None, lost: Lost, reason: str) -> None:
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
    log.warning(
        "paid order cannot have its tickets", order_id=str(record.order_id), reason=reason, seats=list(lost.seats)
    )
    outbox.add(
        session,
        HoldConversionRefused(
            hold_id=record.id,
            show_id=record.show_id,
            order_id=record.order_id,
            seats=lost.seats,
            places=lost.places,
            reason=reason,
        ),
        organisation=record.organisation,
        version=version,
        correlation_id=str(record.order_id),
    )


async def _close(session: AsyncSession, record: OrderRecord, hold: Hold | None, reason: HoldEnd) -> None:
    record.stage = OrderStage.CLOSED
    record.version += 1
    await session.flush()
    if hold is not None:
        await end_hold(session, hold, reason)


async def _tickets(session: AsyncSession, record: OrderRecord, revoked: TicketsRevoked) -> list[TicketRow]:
    """The tickets that a revocation means, locked: those of its seats, and of its lines of places those that it has
    made void, or when it comes for the first time so many living ones."""
    known = str(revoked.request_id) in record.revoked_places
    locked = select(TicketRow).where(TicketRow.hold_id == record.id).order_by(TicketRow.number).with_for_update()
    rows = list(await session.scalars(locked.execution_options(populate_existing=True)))
    left = {line.line_id: line.quantity for line in revoked.places}
    found = []
    for row in rows:
        if row.seat is not None:
            meant = row.seat in revoked.seats
        elif known:
            meant = row.void_request == revoked.request_id
        else:
            meant = row.voided_at is None and row.line_id is not None and left.get(row.line_id, 0) > 0
            if meant and row.line_id is not None:
                left[row.line_id] -= 1
        if meant:
            found.append(row)
    return found
