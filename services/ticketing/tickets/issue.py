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
from contracts.orders import LineKind, OrderLine, OrderPaid
from contracts.ticketing import FULL_FARE, Holder, Ticket, TicketDocument, TicketsIssued
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
    channel: str,
) -> None:
    """Writes the tickets of some lines of an order whose seats and places are taken, and publishes them: one for each
    of a line's quantity. `channel` is the hold's."""
    tickets: list[Ticket] = []
    documents: list[TicketDocument] = []
    profile = await profile_of(session, record.organisation)
    day = layout.starts_at.astimezone(wall_clock.zone(profile.time_zone)).date()
    for bundle in bundles(order, lines):
        document = await _document(session, record, order, bundle)
        values = [
            _values(printer, record, layout, order, line, document.id, day) | {"channel": channel}
            for line in bundle.lines
            for _ in range(line.quantity)
        ]
        rows = list(await session.scalars(insert(TicketRow).returning(TicketRow, sort_by_parameter_order=True), values))
        # In the words of the document that comes with it; staff read the organisation's.
        tickets += [to_ticket(row, Place(**row.place).label(order.locale)) for row in rows]
        url = printer.url(document.id, record.organisation)
        ids = tuple(row.id for row in rows)
        documents.append(TicketDocument(recipient=bundle.recipient, ticket_ids=ids, url=url))
    metrics.TICKETS.labels("issued").inc(len(tickets))
    outbox.add(
        session,
        TicketsIssued(
            order_id=record.order_id,
            hold_id=record.id,
            show_id=layout.show_id,
            show_name=layout.name,
            starts_at=layout.starts_at,
            hall_name=layout.hall_name,
            tickets=tuple(tickets),
            documents=tuple(documents),
        ),
        organisation=record.organisation,
        version=record.version,
        correlation_id=str(record.order_id),
    )


async def _document(session: AsyncSession, record: OrderRecord, order: OrderPaid, bundle: Bundle) -> Document:
    """What the tickets of one recipient are printed in."""
    document = Document(
        id=uuid7(),
        organisation=record.organisation,
        order_id=record.order_id,
        hold_id=record.id,
        locale=order.locale,
        name=bundle.recipient.name,
        email=bundle.recipient.email,
        phone=bundle.recipient.phone,
    )
    session.add(document)
    await session.flush()
    return document


def to_ticket(row: TicketRow, label: str) -> Ticket:
    return Ticket(
        ticket_id=row.id,
        number=str(row.number),
        seat=row.seat or "",
        area=row.area_id,
        label=label,
        zone_name=row.zone_name,
        fare=row.fare,
        fare_name=row.fare_name,
        line_id=row.line_id,
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
    holder = holder_of(line, order)
    return {
        "id": ticket_id,
        "organisation": record.organisation,
        "order_id": record.order_id,
        "hold_id": record.id,
        "document_id": document_id,
        "show_id": layout.show_id,
        **_place_of(layout, order, line),
        "fare": line.fare or FULL_FARE,
        "fare_name": line.fare_name,
        "line_id": line.line_id,
        "price_minor": line.unit_price.minor,
        "currency": line.unit_price.currency,
        "code": printer.codes.sign(Told(ticket_id, layout.show_id, day)),
        "holder_name": holder.name,
        "holder_email": holder.email,
        "holder_phone": holder.phone,
    }


def _place_of(layout: Layout, order: OrderPaid, line: OrderLine) -> dict[str, object]:
    """Where a ticket lets in, as it was sold, whatever has become of the zone or area since."""
    if line.kind == LineKind.PLACE:
        found = layout.area(line.reference)
        name = found[0].name if found else line.title
        place = Place(seat="", category="", zone=name, row="", number="")
        zone = line.zone_name or (found[1].name if found else line.title)
        where = {"seat": None, "area_id": UUID(line.reference), "label": name, "zone_name": zone}
        return {**where, "place": place.to_dict()}
    seat = line.reference
    place = layout.places.get(seat) or Place(seat=seat, category="", zone="", row="", number=seat)
    offer = layout.offers.get(seat)
    return {
        "seat": seat,
        "area_id": None,
        "place": place.to_dict(),
        "label": offer.label if offer else place.label(order.locale),
        "zone_name": offer.zone_name if offer else line.title,
    }
