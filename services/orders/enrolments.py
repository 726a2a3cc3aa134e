"""Students: whoever paid for a course, with an address that opens it (ORD-50, REG-12)."""

from __future__ import annotations

import secrets
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from contracts.orders import EnrolmentOpened, LineKind, Participant
from services.orders import links
from services.orders.models import Enrolment, Order


async def open_enrolments(session: AsyncSession, order: Order) -> list[EnrolmentOpened]:
    """Makes the buyer, or the participant named in a line, a student of each course of the order."""
    opened = []
    for line in order.lines:
        if line.kind != LineKind.COURSE:
            continue
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
            access_url=links.public(f"/learn/{secrets.token_urlsafe(24)}"),
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


async def students(session: AsyncSession, organisation: UUID, offer_id: UUID | None = None) -> list[Enrolment]:
    """The list of students, of one course or of all; the newest first."""
    statement = select(Enrolment).where(Enrolment.organisation == organisation)
    if offer_id is not None:
        statement = statement.where(Enrolment.offer_id == offer_id)
    return list(await session.scalars(statement.order_by(Enrolment.id.desc())))
