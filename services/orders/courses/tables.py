"""The table of students."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from services.orders.base import Base


class Enrolment(Base):
    """A student of a course: the buyer after payment (ORD-50, REG-12)."""

    __tablename__ = "enrolments"
    __table_args__ = (UniqueConstraint("line_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("order_lines.id"))
    offer_id: Mapped[UUID] = mapped_column(index=True)
    course: Mapped[str]
    student_name: Mapped[str]
    student_email: Mapped[str | None]
    student_phone: Mapped[str | None]
    access_url: Mapped[str]
    access_token: Mapped[str | None] = mapped_column(unique=True)
    group_name: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
