"""What ticketing and the gateway tell, as happenings of orders."""

from __future__ import annotations

from collections import Counter

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
from contracts.orders import FunnelStage, LineKind
from contracts.ticketing import HoldEnd
from services.orders.buying.contacts import region_of
from services.orders.known import Account, Organisation, Show, Undelivered
from services.orders.order import Cause, changed, create_order, happen, load, order_of_hold
from services.orders.order.lines import hold_lines, replace_lines
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
    if order.merged_into is not None:
        return
    lines: tuple[Line, ...] = ()
    if order.stage is None:
        account = await session.get(Account, hold.account_id) if hold.account_id else None
        if account is not None:
            await _name_customer(session, order, account)
        lines = replace_lines(order, hold_lines(order, hold.hold_id, hold.show_id, hold.seats, hold.places))
    await happen(session, order, h.HoldPlaced(lines=lines), TICKETING)


@consumer.on(ticketing.HoldExtended)
async def hold_extended(session: AsyncSession, event: Event[ticketing.HoldExtended]) -> None:
    hold = event.data
    await _tell(session, await order_of_hold(session, hold.hold_id), h.HoldExtended(pay_by=hold.pay_by))


@consumer.on(ticketing.HoldLapsed)
async def hold_lapsed(session: AsyncSession, event: Event[ticketing.HoldLapsed]) -> None:
    """Answered even if the hold was never heard of: its seats wait for the answer."""
    hold = event.data
    if event.organisation is None:
        return
    order = await order_of_hold(session, hold.hold_id) or await create_order(
        session, hold.hold_id, event.organisation, currency=hold.currency, show_id=hold.show_id
    )
    await happen(session, order, h.HoldLapsed(hold=hold.hold_id), TICKETING)


@consumer.on(ticketing.HoldReleased)
async def hold_released(session: AsyncSession, event: Event[ticketing.HoldReleased]) -> None:
    hold = event.data
    order = await order_of_hold(session, hold.hold_id)
    if order is not None and hold.remaining and order.stage in (None, FunnelStage.INTERESTED):
        await _let_go_in_part(session, order, hold)
    else:
        await _tell(session, order, h.HoldReleased(by_expiry=hold.reason is HoldEnd.EXPIRED))


async def _let_go_in_part(session: AsyncSession, order: Order, hold: ticketing.HoldReleased) -> None:
    """The interest is smaller by these seats and places. A checkout that follows has its lines from its own quote."""
    if sum(line.quantity for line in order.lines) <= hold.remaining:
        return
    gone = {f"{places.area}:{places.fare}": places.quantity for places in hold.places}
    gone |= dict.fromkeys(hold.seats, 1)
    for line in list(order.lines):
        name = line.reference if line.kind == LineKind.SEAT else f"{line.reference}:{line.fare}"
        left = line.quantity - gone.get(name, 0)
        if left > 0:
            line.quantity, line.total = left, line.unit_price * left
        else:
            order.lines.remove(line)
    order.total = sum(line.total for line in order.lines)
    await changed(session, order, "seats_let_go", TICKETING)


@consumer.on(ticketing.HoldConversionRefused)
async def conversion_refused(session: AsyncSession, event: Event[ticketing.HoldConversionRefused]) -> None:
    hold = event.data
    order = await order_of_hold(session, hold.order_id or hold.hold_id)
    await _tell(session, order, h.ConversionRefused(hold=hold.hold_id, reason=hold.reason))


@consumer.on(ticketing.TicketsIssued)
async def tickets_issued(session: AsyncSession, event: Event[ticketing.TicketsIssued]) -> None:
    issued = event.data
    order = await load(session, issued.order_id)
    if order is None:
        return
    hold = issued.hold_id or issued.order_id
    numbers = {ticket.seat: ticket.number for ticket in issued.tickets if ticket.seat}
    for line in order.lines:
        if line.hold_id == hold and line.kind == LineKind.SEAT:
            line.ticket_number = numbers.get(line.reference, line.ticket_number)
    others = [document for document in order.documents if document.get("hold", str(order.id)) != str(hold)]
    order.documents = others + [
        {"recipient": document.recipient.name, "url": document.url, "hold": str(hold)} for document in issued.documents
    ]
    await happen(session, order, h.TicketsIssued(hold=hold), TICKETING)


@consumer.on(ticketing.TicketsVoided)
async def tickets_voided(session: AsyncSession, event: Event[ticketing.TicketsVoided]) -> None:
    void = event.data
    places = Counter(ticket.line_id for ticket in void.tickets if not ticket.seat and ticket.line_id)
    happening = h.TicketsVoided(
        hold=void.hold_id or void.order_id,
        request_id=void.request_id,
        seats=tuple(ticket.seat for ticket in void.tickets if ticket.seat),
        places=tuple(places.items()),
    )
    await _tell(session, await load(session, void.order_id), happening)


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


async def _tell(session: AsyncSession, order: Order | None, happening: Happening) -> None:
    if order is not None:
        await happen(session, order, happening, TICKETING)


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
