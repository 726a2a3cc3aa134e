"""Students: whoever paid for a course, with an address that opens it (ORD-50, REG-12)."""

from __future__ import annotations

import secrets
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from contracts.orders import EnrolmentOpened, LineKind, Participant
from services.orders.catalogue.tables import Offer
from services.orders.courses.tables import Enrolment
from services.orders.errors import NoAccess
from services.orders.order import links
from services.orders.order.tables import Order, OrderLine
from services.orders.process.state import LineState


async def open_enrolments(session: AsyncSession, order: Order) -> list[EnrolmentOpened]:
    """Makes the buyer, or the participant named in a line, a student of each course of the order."""
    courses = [line for line in order.lines if line.kind == LineKind.COURSE]
    offers = await session.scalars(select(Offer).where(Offer.id.in_([UUID(line.reference) for line in courses])))
    groups = {offer.id: offer.group_name for offer in offers}
    opened = []
    for line in courses:
        token = secrets.token_urlsafe(24)
        enrolment = Enrolment(
            id=uuid7(),
            organisation=order.organisation,
            order_id=order.id,
            line_id=line.id,
            offer_id=UUID(line.reference),
            course=line.title,
            student_name=line.participant_name or order.customer_name or "",
            student_email=line.participant_email or order.customer_email,
            student_phone=line.participant_phone or order.customer_phone,
            access_url=links.public(f"/learn/{token}"),
            access_token=token,
            group_name=groups.get(UUID(line.reference)),
        )
        session.add(enrolment)
        opened.append(_opened(order, enrolment))
    return opened


def _opened(order: Order, enrolment: Enrolment) -> EnrolmentOpened:
    return EnrolmentOpened(
        enrolment_id=enrolment.id,
        order_id=order.id,
        order_number=order.number,
        offer_id=enrolment.offer_id,
        course=enrolment.course,
        student=Participant(name=enrolment.student_name, email=enrolment.student_email, phone=enrolment.student_phone),
        access_url=enrolment.access_url,
        locale=order.locale,
    )


async def students(
    session: AsyncSession, organisation: UUID, offer_id: UUID | None = None, group: str | None = None
) -> list[Enrolment]:
    """The list of students, of one course or group or of all; the newest first."""
    statement = select(Enrolment).where(Enrolment.organisation == organisation)
    if offer_id is not None:
        statement = statement.where(Enrolment.offer_id == offer_id)
    if group is not None:
        statement = statement.where(Enrolment.group_name == group)
    return list(await session.scalars(statement.order_by(Enrolment.id.desc())))


async def enter(session: AsyncSession, token: str) -> Enrolment:
    """The enrolment that an access address opens, as long as it is paid for (ORD-50). Raises `NoAccess`."""
    statement = (
        select(Enrolment)
        .join(OrderLine, OrderLine.id == Enrolment.line_id)
        .where(Enrolment.access_token == token, OrderLine.state == LineState.LIVE.value)
    )
    enrolment = (await session.scalars(statement)).one_or_none()
    if enrolment is None:
        raise NoAccess("The address opens no course, or the course was given back.")
    return enrolment
