"""What staff do with shows (TKT-7..14, TKT-25). Every change adds one to the show's version and publishes its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import money, outbox
from chassis.concurrency import check_version
from contracts.money import Money
from contracts.ticketing import ShowChanged, ShowCreated, ShowSaleStarted, ShowSaleStopped, ShowState, ShowStatus
from services.ticketing.errors import NoSuchHall, NoSuchShow, PriceZonesRefused, ShowClosed
from services.ticketing.halls.tables import Hall
from services.ticketing.shows import dates, pricing
from services.ticketing.shows.board import Board, zones_of
from services.ticketing.shows.layout import Layout, ZoneSpec
from services.ticketing.shows.tables import Show

OPEN = {ShowStatus.DRAFT, ShowStatus.ON_SALE, ShowStatus.SALES_STOPPED, ShowStatus.REPLACED}
FINISHED_AT_ONCE = 20


async def create_show(
    session: AsyncSession,
    board: Board,
    organisation: UUID,
    *,
    hall_id: UUID,
    name: str,
    starts_at: datetime,
    currency: str,
    invoice_allowed: bool,
    hold_seconds: int | None = None,
    payment_seconds: int | None = None,
    zones: Sequence[ZoneSpec],
    named: Sequence[UUID] = (),
) -> Layout:
    """Creates a show as a draft (TKT-7, TKT-8). `named` are the ids of zones and areas that staff sent: a new show has
    none. Raises `NoSuchHall`, `DateIsPast` and `PriceZonesRefused`."""
    pricing.must_exist(named, ())
    await dates.must_be_ahead(session, starts_at)
    hall = await session.scalar(select(Hall.id).where(Hall.id == hall_id, Hall.organisation == organisation))
    if hall is None:
        raise NoSuchHall(f"There is no hall {hall_id}. Import its seating plan first.")
    show = Show(
        id=uuid7(),
        organisation=organisation,
        hall_id=hall_id,
        name=name,
        starts_at=starts_at,
        currency=currency,
        invoice_allowed=invoice_allowed,
        hold_seconds=hold_seconds,
        payment_seconds=payment_seconds,
        status=ShowStatus.DRAFT,
        version=1,
    )
    session.add(show)
    await session.flush()
    return await _save(session, board, show, zones, ShowCreated)


async def change_show(
    session: AsyncSession,
    board: Board,
    organisation: UUID,
    show_id: UUID,
    seen: int,
    changes: Mapping[str, Any],
    *,
    confirmed: bool = False,
) -> Layout:
    """Changes the columns that are named. Raises `NoSuchShow`, `PreconditionFailed`, `ShowClosed`, `DateIsPast`, and
    `ConfirmFirst` for a new date that people must be told of, unless it is `confirmed`."""
    show = await _lock(session, organisation, show_id)
    check_version(seen, show.version)
    _must_be_open(show)
    moved = changes.get("starts_at", show.starts_at)
    if moved != show.starts_at:
        await dates.must_be_ahead(session, moved)
        if not confirmed:
            await dates.ask_first(session, show, moved)
    for column, value in changes.items():
        setattr(show, column, value)
    return await _changed(session, board, show, ShowChanged)


async def set_price_zones(
    session: AsyncSession,
    board: Board,
    organisation: UUID,
    show_id: UUID,
    zones: Sequence[ZoneSpec],
    seen: int,
    *,
    named: Sequence[UUID] = (),
) -> Layout:
    """Replaces all price zones and areas (TKT-9). Holds that exist keep the prices they were promised. `named` are the
    ids that staff sent: they must be the show's own.

    Raises `NoSuchShow`, `PreconditionFailed`, `ShowClosed` and `PriceZonesRefused`.
    """
    show = await _lock(session, organisation, show_id)
    check_version(seen, show.version)
    _must_be_open(show)
    pricing.must_exist(named, await zones_of(session, show))
    show.version += 1
    return await _save(session, board, show, zones, ShowChanged)


async def assign_price(
    session: AsyncSession,
    board: Board,
    organisation: UUID,
    show_id: UUID,
    *,
    seats: Sequence[str],
    price: Money,
    name: str | None,
    seen: int,
) -> Layout:
    """Gives the seats a price (TKT-11): they join the zone of that price (and name, if one is given), or a new zone.

    Raises what `set_price_zones` raises.
    """
    show = await _lock(session, organisation, show_id)
    check_version(seen, show.version)
    _must_be_open(show)
    moved = set(seats)
    zones = [replace(z, seats=tuple(s for s in z.seats if s not in moved)) for z in await zones_of(session, show)]
    match = next((i for i, z in enumerate(zones) if z.price == price and name in (None, z.name)), None)
    if match is None:
        zones.append(ZoneSpec(uuid7(), name or money.show(price, "en"), price, (), tuple(dict.fromkeys(seats))))
    else:
        found = zones[match]
        together = tuple(dict.fromkeys((*found.seats, *seats)))
        zones[match] = replace(found, seats=together)
    show.version += 1
    return await _save(session, board, show, zones, ShowChanged)


async def start_sale(session: AsyncSession, board: Board, organisation: UUID, show_id: UUID) -> Layout:
    """Makes the priced seats available (TKT-14); nothing happens if they are. Raises `NoSuchShow`, `ShowClosed`,
    `DateIsPast`, and `PriceZonesRefused` when no seat has a price."""
    show = await _lock(session, organisation, show_id)
    _must_be_open(show)
    await dates.must_be_ahead(session, show.starts_at)
    layout = await board.lay_out(session, show, await zones_of(session, show))
    if not layout.offers and not layout.areas:
        raise PriceZonesRefused("Nothing has a price yet. Assign price zones before starting the sale.")
    if show.status == ShowStatus.ON_SALE:
        return layout
    show.status = ShowStatus.ON_SALE
    return await _changed(session, board, show, ShowSaleStarted)


async def stop_sale(session: AsyncSession, board: Board, organisation: UUID, show_id: UUID) -> Layout:
    """Nobody can take seats from this moment (TKT-25); orders that were placed may still be paid. Nothing happens if
    the sale is stopped. Raises `NoSuchShow` and `ShowClosed`."""
    show = await _lock(session, organisation, show_id)
    if show.status == ShowStatus.SALES_STOPPED:
        return await board.lay_out(session, show, await zones_of(session, show))
    if show.status != ShowStatus.ON_SALE:
        raise ShowClosed(f"The show is {show.status}, so there is no sale to stop.")
    show.status = ShowStatus.SALES_STOPPED
    return await _changed(session, board, show, ShowSaleStopped)


async def reopen_show(
    session: AsyncSession, board: Board, organisation: UUID, show_id: UUID, seen: int, starts_at: datetime
) -> Layout:
    """Takes back that a show is over, which a wrong date may have made it: it begins then, and its sale is stopped
    until it is started. Tickets that were refunded meanwhile stay refunded.

    Raises `NoSuchShow`, `PreconditionFailed`, `DateIsPast`, and `ShowClosed` for a show that is not finished.
    """
    show = await _lock(session, organisation, show_id)
    check_version(seen, show.version)
    if show.status != ShowStatus.FINISHED:
        raise ShowClosed(f"The show is {show.status}. Only one that is finished can be opened again.")
    await dates.must_be_ahead(session, starts_at)
    show.starts_at = starts_at
    show.status = ShowStatus.SALES_STOPPED
    return await _changed(session, board, show, ShowChanged)


async def finish_shows(session: AsyncSession, board: Board, after: timedelta) -> int:
    """Finishes shows that began so long ago (GAP-15): unless staff open them again, nothing of them changes, and
    an order that is paid only now gets its money back instead of tickets. Returns how many."""
    over = await session.scalars(
        select(Show)
        .where(Show.status.in_(OPEN - {ShowStatus.DRAFT}), Show.starts_at <= func.clock_timestamp() - after)
        .order_by(Show.starts_at)
        .limit(FINISHED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    shows = list(over)
    for show in shows:
        show.status = ShowStatus.FINISHED
        await _changed(session, board, show, ShowChanged)
    return len(shows)


async def _lock(session: AsyncSession, organisation: UUID, show_id: UUID) -> Show:
    show = await session.scalar(
        select(Show).where(Show.id == show_id, Show.organisation == organisation).with_for_update()
    )
    if show is None:
        raise NoSuchShow(f"There is no show {show_id}.")
    return show


def _must_be_open(show: Show) -> None:
    if show.status not in OPEN:
        raise ShowClosed(f"The show is {show.status} and cannot be changed any more.")


async def _changed(session: AsyncSession, board: Board, show: Show, kind: type[ShowState]) -> Layout:
    show.version += 1
    await session.flush()
    layout = await board.lay_out(session, show, await zones_of(session, show))
    _publish(session, layout, kind)
    return layout


async def _save(
    session: AsyncSession, board: Board, show: Show, zones: Sequence[ZoneSpec], kind: type[ShowState]
) -> Layout:
    """Writes the show with these zones and their areas."""
    pricing.check(zones, show.currency)
    kept = pricing.identified(zones, await zones_of(session, show))
    layout = await board.lay_out(session, show, kept)
    await pricing.write(session, show, kept)
    _publish(session, layout, kind)
    return layout


def _publish(session: AsyncSession, layout: Layout, kind: type[ShowState]) -> None:
    state = kind(
        show_id=layout.show_id,
        name=layout.name,
        starts_at=layout.starts_at,
        hall_id=layout.hall_id,
        hall_name=layout.hall_name,
        status=layout.status,
        currency=layout.currency,
        price_zones=layout.zones,
        capacity=len(layout.places),
        areas=layout.area_states,
        invoice_allowed=layout.invoice_allowed,
    )
    outbox.add(session, state, organisation=layout.organisation, version=layout.version)
