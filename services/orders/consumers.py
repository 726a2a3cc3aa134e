"""What ticketing and the gateway tell, as happenings of orders."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from chassis.people import normalise_email, normalise_phone
from chassis.projections import keep_newest
from contracts import ticketing
from contracts.accounts import AccountState, OrganisationState
from contracts.envelope import Event
from contracts.notifications import MessageBounced, MessageFailed
from contracts.ticketing import HoldEnd
from services.orders.buying.contacts import region_of
from services.orders.known import Account, Organisation, Show, Undelivered
from services.orders.order import Cause, changed, create_order, happen, load
from services.orders.order.lines import replace_lines, seat_line
from services.orders.order.shows import rename
from services.orders.order.tables import Order
from services.orders.process import Happening
from services.orders.process import happenings as h
from services.orders.process.state import Line

consumer = Consumer("orders")

TICKETING = Cause("ticketing", "event")
GATEWAY = Cause("gateway", "event")
NOWHERE = "ZZ"
"""Of an organisation not heard of yet: only phone numbers with a country code can be read."""


@consumer.on(ticketing.HoldPlaced)
async def hold_placed(session: AsyncSession, event: Event[ticketing.HoldPlaced]) -> None:
    """A buyer chose seats: interest, even if nothing follows (ORD-30). The order has the id of its hold.

    Of a buyer who is signed in, staff see who it is (ORD-27).
    """
    hold = event.data
    if event.organisation is None:
        return
    show = await session.get(Show, hold.show_id)
    newer = show is not None and show.told_at > event.time
    order = await create_order(
        session,
        hold.hold_id,
        event.organisation,
        currency=hold.total.currency,
        title=show.name if show and newer else hold.show_name,
        show_id=hold.show_id,
        starts_at=show.starts_at if show and newer else hold.starts_at,
        account_id=hold.account_id,
    )
    lines: tuple[Line, ...] = ()
    if order.stage is None:
        account = await session.get(Account, hold.account_id) if hold.account_id else None
        if account is not None:
            await _name_customer(session, order, account)
        rows = (seat_line(order, i, s.seat, s.label, s.zone_name, s.price.minor) for i, s in enumerate(hold.seats))
        lines = replace_lines(order, rows)
    await happen(session, order, h.HoldPlaced(lines=lines), TICKETING)


@consumer.on(ticketing.HoldExtended)
async def hold_extended(session: AsyncSession, event: Event[ticketing.HoldExtended]) -> None:
    hold = event.data
    await _tell(session, hold.hold_id, h.HoldExtended(pay_by=hold.pay_by))


@consumer.on(ticketing.HoldLapsed)
async def hold_lapsed(session: AsyncSession, event: Event[ticketing.HoldLapsed]) -> None:
    """Answered even if the hold was never heard of: its seats wait for the answer."""
    hold = event.data
    if event.organisation is None:
        return
    order = await create_order(session, hold.hold_id, event.organisation, currency=hold.currency, show_id=hold.show_id)
    await happen(session, order, h.HoldLapsed(), TICKETING)


@consumer.on(ticketing.HoldReleased)
async def hold_released(session: AsyncSession, event: Event[ticketing.HoldReleased]) -> None:
    by_expiry = event.data.reason is HoldEnd.EXPIRED
    await _tell(session, event.data.hold_id, h.HoldReleased(by_expiry=by_expiry))


@consumer.on(ticketing.HoldConversionRefused)
async def conversion_refused(session: AsyncSession, event: Event[ticketing.HoldConversionRefused]) -> None:
    await _tell(session, event.data.hold_id, h.ConversionRefused(reason=event.data.reason))


@consumer.on(ticketing.TicketsIssued)
async def tickets_issued(session: AsyncSession, event: Event[ticketing.TicketsIssued]) -> None:
    order = await load(session, event.data.order_id)
    if order is None:
        return
    numbers = {ticket.seat: ticket.number for ticket in event.data.tickets}
    for line in order.lines:
        line.ticket_number = numbers.get(line.reference, line.ticket_number)
    order.documents = [{"recipient": document.recipient.name, "url": document.url} for document in event.data.documents]
    await happen(session, order, h.TicketsIssued(), TICKETING)


@consumer.on(ticketing.TicketsVoided)
async def tickets_voided(session: AsyncSession, event: Event[ticketing.TicketsVoided]) -> None:
    seats = tuple(ticket.seat for ticket in event.data.tickets)
    await _tell(session, event.data.order_id, h.TicketsVoided(request_id=event.data.request_id, seats=seats))


@consumer.on(MessageFailed, MessageBounced)
async def not_delivered(session: AsyncSession, event: Event[MessageFailed | MessageBounced]) -> None:
    """Staff see at the order that somebody's address does not take mail."""
    message = event.data
    if event.organisation is None or message.order_id is None:
        return
    values = {
        "message_id": message.message_id,
        "organisation": event.organisation,
        "order_id": message.order_id,
        "template": message.template,
        "channel": str(message.channel),
        "reason": message.reason,
        "at": event.time,
    }
    await session.execute(insert(Undelivered).values(values).on_conflict_do_nothing())


async def _tell(session: AsyncSession, order_id: UUID, happening: Happening) -> Order | None:
    order = await load(session, order_id)
    if order is not None:
        await happen(session, order, happening, TICKETING)
    return order


@consumer.on(*OrganisationState.types())
async def organisation_known(session: AsyncSession, event: Event[OrganisationState]) -> None:
    data = event.data
    values = {
        "organisation": data.organisation_id,
        "slug": data.slug,
        "name": data.name,
        "currency": data.currency,
        "locale": data.locale,
        "phone_region": data.phone_region,
        "time_zone": data.time_zone,
        "version": event.aggregate_version,
    }
    await keep_newest(session, Organisation, values)


@consumer.on(*ticketing.ShowState.types())
async def learn_show(session: AsyncSession, event: Event[ticketing.ShowState]) -> None:
    """Whether it is sold is asked at checkout; its name and date reach the orders that have tickets of it."""
    data = event.data
    if event.organisation is None:
        return
    values = {
        "id": data.show_id,
        "organisation": event.organisation,
        "name": data.name,
        "starts_at": data.starts_at,
        "status": data.status.value,
        "told_at": event.time,
        "version": event.aggregate_version,
    }
    if await keep_newest(session, Show, values):
        await rename(session, event.organisation, data.show_id, data.name, data.starts_at)


@consumer.on(*AccountState.types())
async def account_known(session: AsyncSession, event: Event[AccountState]) -> None:
    """What people entered about themselves is shown beside what was typed in an order (ORD-26, REG-6)."""
    data = event.data
    values = {
        "id": data.account_id,
        "email": normalise_email(data.email) or data.email,
        "name": data.name,
        "phone": data.phone,
        "shared_with": list(data.shared_with),
        "version": event.aggregate_version,
    }
    await keep_newest(session, Account, values)
    account = await session.get_one(Account, data.account_id, populate_existing=True)
    nameless = select(Order.id).where(Order.account_id == account.id, Order.customer_name.is_(None)).order_by(Order.id)
    for order_id in list(await session.scalars(nameless)):
        # The seats were held before we heard of the account.
        order = await load(session, order_id)
        if order is not None and order.customer_name is None:
            await _name_customer(session, order, account)
            await changed(session, order, "customer_known", GATEWAY)


async def _name_customer(session: AsyncSession, order: Order, account: Account) -> None:
    region = await region_of(session, order.organisation, default=NOWHERE)
    order.customer_name, order.customer_email = account.name, account.email
    order.customer_phone = normalise_phone(account.phone, region) if account.phone else None
