"""Making tickets: rows with numbers and signed codes, a document per recipient, and the event that tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from chassis import outbox, wall_clock
from chassis.links import Links
from contracts.money import Money
from contracts.orders import OrderLine, OrderPaid
from contracts.ticketing import Holder, Ticket, TicketDocument, TicketsIssued
from services.ticketing import metrics
from services.ticketing.halls.places import Place
from services.ticketing.people import profile_of
from services.ticketing.shows.layout import Layout
from services.ticketing.tickets.codes import Codes, Told
from services.ticketing.tickets.recipients import Bundle, bundles, holder_of
from services.ticketing.tickets.tables import Document, OrderRecord, TicketRow

LINK = "ticket-document"


@dataclass(frozen=True, slots=True)
class Printer:
    """What signs the codes on tickets and the links to documents."""

    codes: Codes
    links: Links
    public_url: str
    document_seconds: float

    def url(self, document_id: UUID, organisation: UUID) -> str:
        token = self.links.sign(LINK, document_id, organisation, ttl_seconds=self.document_seconds)
        return f"{self.public_url.rstrip('/')}/api/ticketing/documents/{token}"


async def issue(
    session: AsyncSession,
    printer: Printer,
    record: OrderRecord,
    layout: Layout,
    order: OrderPaid,
    lines: Sequence[OrderLine],
) -> None:
    """Writes the tickets of some lines of an order whose seats are taken, and publishes them."""
    tickets: list[Ticket] = []
    documents: list[TicketDocument] = []
    profile = await profile_of(session, record.organisation)
    day = layout.starts_at.astimezone(wall_clock.zone(profile.time_zone)).date()
    for bundle in bundles(order, lines):
        rows, document = await _issue_bundle(session, printer, record, layout, order, bundle, day)
        # In the words of the document that comes with it; staff read the organisation's.
        tickets += [to_ticket(row, Place(**row.place).label(order.locale)) for row in rows]
        documents.append(document)
    metrics.TICKETS.labels("issued").inc(len(tickets))
    outbox.add(
        session,
        TicketsIssued(
            order_id=record.id,
            show_id=layout.show_id,
            show_name=layout.name,
            starts_at=layout.starts_at,
            hall_name=layout.hall_name,
            tickets=tuple(tickets),
            documents=tuple(documents),
        ),
        organisation=record.organisation,
        version=record.version,
        correlation_id=str(record.id),
    )


async def _issue_bundle(
    session: AsyncSession,
    printer: Printer,
    record: OrderRecord,
    layout: Layout,
    order: OrderPaid,
    bundle: Bundle,
    day: date,
) -> tuple[list[TicketRow], TicketDocument]:
    """The tickets of one recipient, and their document."""
    document = Document(
        id=uuid7(),
        organisation=record.organisation,
        order_id=record.id,
        locale=order.locale,
        name=bundle.recipient.name,
        email=bundle.recipient.email,
        phone=bundle.recipient.phone,
    )
    session.add(document)
    await session.flush()
    values = [_values(printer, record, layout, order, line, document.id, day) for line in bundle.lines]
    rows = list(await session.scalars(insert(TicketRow).returning(TicketRow, sort_by_parameter_order=True), values))
    url = printer.url(document.id, record.organisation)
    return rows, TicketDocument(recipient=bundle.recipient, ticket_ids=tuple(row.id for row in rows), url=url)


def to_ticket(row: TicketRow, label: str) -> Ticket:
    return Ticket(
        ticket_id=row.id,
        number=str(row.number),
        seat=row.seat,
        label=label,
        zone_name=row.zone_name,
        price=Money(minor=row.price_minor, currency=row.currency),
        holder=Holder(name=row.holder_name, email=row.holder_email, phone=row.holder_phone),
    )


def _values(
    printer: Printer,
    record: OrderRecord,
    layout: Layout,
    order: OrderPaid,
    line: OrderLine,
    document_id: UUID,
    day: date,
) -> dict[str, object]:
    ticket_id = uuid7()
    seat = line.reference
    place = layout.places.get(seat) or Place(seat=seat, category="", zone="", row="", number=seat)
    offer = layout.offers.get(seat)
    holder = holder_of(line, order)
    return {
        "id": ticket_id,
        "organisation": record.organisation,
        "order_id": record.id,
        "document_id": document_id,
        "show_id": layout.show_id,
        "seat": seat,
        "place": place.to_dict(),
        "label": offer.label if offer else place.label(order.locale),
        "zone_name": offer.zone_name if offer else line.title,
        "price_minor": line.unit_price.minor,
        "currency": line.unit_price.currency,
        "code": printer.codes.sign(Told(ticket_id, layout.show_id, day)),
        "holder_name": holder.name,
        "holder_email": holder.email,
        "holder_phone": holder.phone,
    }
