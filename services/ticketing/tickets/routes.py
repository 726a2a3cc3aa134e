"""HTTP: tickets of an order, registrations (REG-1..8), and the PDF that a signed link opens (DOC-1)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from chassis.db import Database
from chassis.edge import Caller, Tx, public
from chassis.links import Link
from chassis.problems import NotFound, raises
from contracts.money import Money
from services.ticketing.errors import DocumentBusy, DocumentVoid, PrintersBusy
from services.ticketing.halls.places import Place
from services.ticketing.halls.tables import Hall
from services.ticketing.people import Person, people_by_email, profile_of
from services.ticketing.roles import READERS
from services.ticketing.schemas import Body, Price
from services.ticketing.shows.tables import Show
from services.ticketing.tickets.document import PrintedDocument, PrintedTicket
from services.ticketing.tickets.issue import LINK, Printer
from services.ticketing.tickets.press import Press
from services.ticketing.tickets.tables import Document, OrderRecord, TicketRow

PAGE = 500

router = APIRouter(tags=["tickets"])


class Contact(Body):
    name: str
    email: str | None
    phone: str | None


class TicketOut(Body):
    ticket_id: UUID
    number: str
    order_id: UUID
    show_id: UUID
    seat: str
    """Empty for a place of an area."""
    area_id: UUID | None
    label: str
    zone_name: str
    fare: str
    fare_name: str | None
    channel: str
    line_id: UUID | None
    price: Price
    holder: Contact
    code: str
    issued_at: datetime
    voided_at: datetime | None
    void_reason: str | None
    document_url: str


class TicketList(Body):
    items: list[TicketOut]
    next: str | None = None


class Registration(Body):
    """A registered participant. `number` identifies the person (REG-5)."""

    number: str
    ticket_id: UUID
    order_id: UUID
    show_id: UUID
    seat: str
    label: str
    ordered: Contact
    """What the customer entered when ordering; this is printed on the ticket (REG-6)."""
    registered: Contact | None
    """What the person entered when registering on the platform, if they did (REG-6)."""
    contact: Contact
    """Whom to write to or call: what the person registered counts for more than what was ordered (REG-7)."""
    voided: bool


class RegistrationList(Body):
    items: list[Registration]
    next: str | None


@router.get("/orders/{order_id}/tickets")
async def list_tickets(
    order_id: UUID, request: Request, tx: Tx, caller: Annotated[Caller, Depends(READERS)]
) -> TicketList:
    """The tickets of an order, void ones too."""
    rows = await tx.scalars(
        select(TicketRow)
        .where(TicketRow.order_id == order_id, TicketRow.organisation == caller.staff_organisation)
        .order_by(TicketRow.number)
    )
    printer: Printer = request.app.state.printer
    return TicketList(items=[_ticket(row, printer) for row in rows])


@router.get("/registrations")
async def list_registrations(
    tx: Tx,
    caller: Annotated[Caller, Depends(READERS)],
    show_id: UUID | None = None,
    order_id: UUID | None = None,
    number: Annotated[int | None, Query(ge=1, le=2**62, description="Of one registration")] = None,
    voided: Annotated[bool | None, Query(description="Only void ones, or only living ones")] = None,
    after: Annotated[int | None, Query(alias="cursor", ge=0, le=2**62)] = None,
) -> RegistrationList:
    """Registered participants of a show, of an order, or of the whole organisation; or one of them by number (REG-1,
    REG-3..5)."""
    query = select(TicketRow).where(TicketRow.organisation == caller.staff_organisation)
    if show_id is not None:
        query = query.where(TicketRow.show_id == show_id)
    if order_id is not None:
        query = query.where(TicketRow.order_id == order_id)
    if number is not None:
        query = query.where(TicketRow.number == number)
    if voided is not None:
        query = query.where(TicketRow.voided_at.is_not(None) if voided else TicketRow.voided_at.is_(None))
    if after is not None:
        query = query.where(TicketRow.number > after)
    rows = list(await tx.scalars(query.order_by(TicketRow.number).limit(PAGE + 1)))
    page = rows[:PAGE]
    people = await people_by_email(tx, {row.holder_email for row in page if row.holder_email})
    buyers = await _buyers(tx, {row.order_id for row in page})
    items = [_registration(row, _agreed(row, people, buyers)) for row in page]
    return RegistrationList(items=items, next=str(page[-1].number) if len(rows) > PAGE else None)


async def _buyers(session: AsyncSession, orders: set[UUID]) -> dict[UUID, UUID | None]:
    """Who ordered, by order, as far as they were signed in."""
    records = await session.scalars(select(OrderRecord).where(OrderRecord.order_id.in_(orders)))
    return {record.order_id: record.account_id for record in records}


def _agreed(row: TicketRow, people: dict[str, Person], buyers: dict[UUID, UUID | None]) -> Person | None:
    """The account of the holder's address, if its person ordered the ticket or shows their data to the organisation:
    anybody may write an address into an order."""
    person = people.get((row.holder_email or "").lower())
    if person is None or not (row.organisation in person.shared_with or buyers.get(row.order_id) == person.account_id):
        return None
    return person


def _registration(row: TicketRow, person: Person | None) -> Registration:
    """A ticket as the registration of its holder; `person` is their account, if the organisation may see it."""
    ordered = Contact(name=row.holder_name, email=row.holder_email, phone=row.holder_phone)
    registered = Contact(name=person.name, email=person.email, phone=person.phone) if person else None
    return Registration(
        number=str(row.number),
        ticket_id=row.id,
        order_id=row.order_id,
        show_id=row.show_id,
        seat=row.seat or "",
        label=row.label,
        ordered=ordered,
        registered=registered,
        contact=registered or ordered,
        voided=row.voided_at is not None,
    )


@router.get(
    "/documents/{token}",
    response_class=Response,
    dependencies=[Depends(public())],
    responses={200: {"content": {"application/pdf": {}}}},
)
@raises(NotFound, DocumentVoid, DocumentBusy, PrintersBusy)
async def read_document(token: str, request: Request) -> Response:
    """The tickets of one recipient as a PDF. The link is the permission."""
    printer: Printer = request.app.state.printer
    press: Press = request.app.state.press
    db: Database = request.app.state.db
    link = printer.links.verify(LINK, token)
    with press.admit(link.subject):
        # No connection is held while others print: the consumer and the jobs live on the same few.
        async with db.as_worker() as session:
            number, printed = await _read(session, link)
        pdf = await press.print(printed)
    headers = {"Content-Disposition": f'inline; filename="tickets-{number}.pdf"', "Cache-Control": "private, no-store"}
    return Response(pdf, headers=headers, media_type="application/pdf")


async def _read(tx: AsyncSession, link: Link) -> tuple[int, PrintedDocument]:
    """The number of the first ticket of a document, and what is printed."""
    document = await tx.get(Document, link.subject)
    if document is None or document.organisation != link.organisation:
        raise NotFound("There is no such document.")
    rows = list(
        await tx.scalars(
            select(TicketRow)
            .where(TicketRow.document_id == document.id, TicketRow.voided_at.is_(None))
            .order_by(TicketRow.number)
        )
    )
    if not rows:
        raise DocumentVoid("All tickets of this document were cancelled or refunded.")
    return rows[0].number, await _printed(tx, document, rows)


async def _printed(tx: AsyncSession, document: Document, rows: list[TicketRow]) -> PrintedDocument:
    show = await tx.get_one(Show, rows[0].show_id)
    hall = (await tx.execute(select(Hall.name).where(Hall.id == show.hall_id))).scalar_one()
    profile = await profile_of(tx, document.organisation)
    return PrintedDocument(
        organisation=profile.name,
        show=show.name,
        starts_at=show.starts_at,
        time_zone=profile.time_zone,
        hall=hall,
        locale=document.locale,
        tickets=tuple(
            PrintedTicket(
                number=str(row.number),
                code=row.code,
                holder=row.holder_name,
                place=Place(**row.place).parts(document.locale) or (row.label,),
                zone=f"{row.zone_name}, {row.fare_name}" if row.fare_name else row.zone_name,
                price=Money(minor=row.price_minor, currency=row.currency),
            )
            for row in rows
        ),
    )


def _ticket(row: TicketRow, printer: Printer) -> TicketOut:
    return TicketOut(
        ticket_id=row.id,
        number=str(row.number),
        order_id=row.order_id,
        show_id=row.show_id,
        seat=row.seat or "",
        area_id=row.area_id,
        label=row.label,
        zone_name=row.zone_name,
        fare=row.fare,
        fare_name=row.fare_name,
        channel=row.channel,
        line_id=row.line_id,
        price=Price(minor=row.price_minor, currency=row.currency),
        holder=Contact(name=row.holder_name, email=row.holder_email, phone=row.holder_phone),
        code=row.code,
        issued_at=row.issued_at,
        voided_at=row.voided_at,
        void_reason=row.void_reason,
        document_url=printer.url(row.document_id, row.organisation),
    )
