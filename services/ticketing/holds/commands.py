"""Extending a hold, letting go of it, and what its order means for it (TKT-20, TKT-21)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from contracts.ticketing import HoldEnd, HoldExtended, HoldReleased, PlacesOf
from services.ticketing import metrics
from services.ticketing.errors import HoldAtItsLimit, HoldEnded, HoldOrdered, NoSuchHold
from services.ticketing.holds import counters, seats
from services.ticketing.holds.tables import Hold, HoldStatus
from services.ticketing.shows.tables import Show
from services.ticketing.tickets.tables import OrderRecord, OrderStage

WORTH_EXTENDING = timedelta(seconds=1)


async def lock_hold(session: AsyncSession, hold_id: UUID) -> Hold | None:
    """The hold, so that nobody else changes it or its seats until the transaction ends."""
    return await session.scalar(
        select(Hold).where(Hold.id == hold_id).with_for_update().execution_options(populate_existing=True)
    )


async def extend_hold(
    session: AsyncSession,
    hold_id: UUID,
    organisation: UUID | None,
    *,
    lifetime: timedelta | None,
    usual: timedelta,
    until: datetime | None = None,
    buffer: timedelta,
) -> Hold:
    """Lets a hold live `until` a moment or for `lifetime` from now, else for its show's booking period or the `usual`
    one, at most until its limit. With `organisation` (of staff) the hold must be theirs, and the beginning of the show
    is the limit instead; an order that awaits payment gets more time too, up to a `buffer` before the end of its hold.

    Raises `NoSuchHold`, `HoldEnded` and `HoldAtItsLimit`.
    """
    hold = await _living(session, hold_id, organisation)
    now = await seats.database_now(session)
    show = await session.get_one(Show, hold.show_id)
    if lifetime is None:
        lifetime = timedelta(seconds=show.hold_seconds) if show.hold_seconds else usual
    if organisation is not None:
        hold.latest_at = max(hold.latest_at, show.starts_at)
    until = min(until or now + lifetime, hold.latest_at)
    if until < hold.expires_at + WORTH_EXTENDING:
        raise HoldAtItsLimit(
            f"This hold ends at {hold.expires_at:%H:%M:%S} UTC and cannot be extended. Place the order before.",
            expires_at=hold.expires_at.isoformat(),
        )
    order = await session.get(OrderRecord, hold_id) if organisation is not None else None
    ordered = order is not None and order.stage == OrderStage.OPEN
    await prolong(session, hold, until, pay_by=until - buffer if ordered else None)
    return hold


async def prolong(session: AsyncSession, hold: Hold, until: datetime, *, pay_by: datetime | None = None) -> bool:
    """Moves the end of a locked hold that has its seats, or can have them again. False if it cannot: then it has ended,
    and the seats it still had are given up."""
    kept = await seats.keep(
        session,
        organisation=hold.organisation,
        show_id=hold.show_id,
        hold_id=hold.id,
        seats=hold.seats,
        until=until,
    )
    lost = await counters.keep(
        session,
        organisation=hold.organisation,
        show_id=hold.show_id,
        hold_id=hold.id,
        wanted=counters.promised(hold.places),
        until=until,
    )
    if len(kept) < len(hold.seats) or lost:
        await end_hold(session, hold, HoldEnd.EXPIRED)
        # What a hold that had ended before took again just now.
        await seats.free(session, hold.show_id, hold.id, hold.seats)
        await counters.free(session, hold.id)
        return False
    hold.expires_at = until
    hold.status = HoldStatus.ACTIVE
    hold.extended = True
    hold.version += 1
    await session.flush()
    outbox.add(
        session,
        HoldExtended(
            hold_id=hold.id,
            show_id=hold.show_id,
            expires_at=until,
            seats=tuple(hold.seats),
            places=counters.told(counters.promised(hold.places)),
            pay_by=pay_by,
        ),
        organisation=hold.organisation,
        version=hold.version,
        correlation_id=str(hold.id),
    )
    return True


async def release_hold(session: AsyncSession, hold_id: UUID, organisation: UUID | None) -> Hold:
    """Gives the seats back: released by the buyer, annulled by staff (with their `organisation`). Nothing happens if it
    has ended. Raises `NoSuchHold`, and `HoldOrdered` when an order awaits payment."""
    hold = await _releasable(session, hold_id, organisation)
    await end_hold(session, hold, HoldEnd.RELEASED if organisation is None else HoldEnd.ANNULLED)
    return hold


async def _releasable(session: AsyncSession, hold_id: UUID, organisation: UUID | None) -> Hold:
    """The locked hold, which no order needs."""
    hold = await lock_hold(session, hold_id)
    if hold is None or organisation not in (None, hold.organisation):
        raise NoSuchHold(f"There is no hold {hold_id}.")
    if hold.status == HoldStatus.CONVERTED:
        raise HoldEnded("The seats are sold. They become free again when the order is refunded.")
    order = await session.get(OrderRecord, hold_id)
    if order is not None and order.stage == OrderStage.OPEN:
        raise HoldOrdered("An order for these seats awaits payment. Cancel the order instead.")
    return hold


async def release_some(
    session: AsyncSession, hold_id: UUID, organisation: UUID | None, names: Sequence[str], places: Sequence[PlacesOf]
) -> Hold:
    """Gives some seats and places of a hold back; what it has not is left out. It ends when nothing remains.

    Raises `NoSuchHold`, `HoldEnded`, and `HoldOrdered` when an order awaits payment.
    """
    hold = await _releasable(session, hold_id, organisation)
    if hold.status != HoldStatus.ACTIVE:
        raise HoldEnded("This hold has ended. Choose seats again.")
    reason = HoldEnd.RELEASED if organisation is None else HoldEnd.ANNULLED
    given_up = Counter[tuple[UUID, str]]()
    for each in places:
        given_up[each.area, each.fare] += each.quantity
    own = counters.promised(hold.places)
    left = {key: max(quantity - given_up[key], 0) for key, quantity in own.items()}
    kept = [seat for seat in hold.seats if seat not in set(names)]
    remaining = len(kept) + sum(left.values())
    if remaining == hold.units:
        return hold
    if remaining == 0:
        await end_hold(session, hold, reason)
        return hold
    freed = await seats.free(session, hold.show_id, hold.id, [seat for seat in hold.seats if seat not in kept])
    returned = await counters.free(session, hold.id, given_up) if own else ()
    hold.terms = [seat for seat in hold.terms if seat["seat"] in kept]
    hold.places = [
        {**each, "quantity": quantity} for each in hold.places if (quantity := left[UUID(each["area"]), each["fare"]])
    ]
    hold.seats, hold.units = kept, remaining
    await _tell_released(session, hold, freed, returned, reason, remaining)
    return hold


async def _tell_released(
    session: AsyncSession,
    hold: Hold,
    freed: tuple[str, ...],
    places: tuple[PlacesOf, ...],
    reason: HoldEnd,
    remaining: int = 0,
) -> None:
    hold.version += 1
    await session.flush()
    outbox.add(
        session,
        HoldReleased(
            hold_id=hold.id, show_id=hold.show_id, seats=freed, places=places, reason=reason, remaining=remaining
        ),
        organisation=hold.organisation,
        version=hold.version,
        correlation_id=str(hold.id),
    )


async def end_hold(session: AsyncSession, hold: Hold, reason: HoldEnd) -> None:
    """Ends a locked hold that has its seats, if it is not sold; they are free again."""
    if hold.status not in (HoldStatus.ACTIVE, HoldStatus.LAPSED):
        return
    freed = await seats.free(session, hold.show_id, hold.id, hold.seats)
    places = await counters.free(session, hold.id) if hold.places else ()
    hold.status = HoldStatus(reason.value)
    metrics.HOLDS_ENDED.labels(reason.value).inc()
    await _tell_released(session, hold, freed, places, reason)


async def _living(session: AsyncSession, hold_id: UUID, organisation: UUID | None) -> Hold:
    hold = await lock_hold(session, hold_id)
    if hold is None or organisation not in (None, hold.organisation):
        raise NoSuchHold(f"There is no hold {hold_id}.")
    if hold.status != HoldStatus.ACTIVE or hold.expires_at <= await seats.database_now(session):
        raise HoldEnded("This hold has ended. Choose seats again.")
    return hold
