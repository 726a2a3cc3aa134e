"""Tables of notifications: messages with every attempt to deliver them, and what is known of orders from events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Float,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chassis.db import ServiceBase, service_metadata


class Base(ServiceBase):
    __abstract__ = True
    metadata = service_metadata()


class Status(StrEnum):
    """Of a message. It only moves forward: pending, sending, then one of the last three."""

    PENDING = "pending"
    SENDING = "sending"
    """An attempt was begun at least once; between two attempts a message stays here."""
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    """Not sent, because it was no longer true: see `reason`."""


FINAL = (Status.SENT, Status.FAILED, Status.SUPPRESSED)


class Outcome(StrEnum):
    """Of an attempt; an attempt without one was cut off, nobody knows whether the message left."""

    SENT = "sent"
    RETRY = "retry"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    RELEASED = "released"
    """Given back unsent: the mail server could not be reached, or this process was asked to stop."""


class Message(Base):
    """One message to one recipient about one transition. The unique key makes it one, whatever events arrive."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("organisation", "template", "transition", "recipient_key"),
        CheckConstraint("status IN ('pending', 'sending', 'sent', 'failed', 'suppressed')", name="status"),
        Index(None, "lane", "due_at", postgresql_where=text("status IN ('pending', 'sending')")),
        Index(None, "organisation", "created_at", "message_id"),
        Index(None, "order_id"),
        Index(None, "show_id", postgresql_where=text("show_id IS NOT NULL AND status = 'pending'")),
        Index("ix_message_with_body", "finished_at", postgresql_where=text("params <> '{}'::jsonb")),
    )

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    """A function of the unique key, so a message rebuilt from its event has the same id and Message-ID."""
    organisation: Mapped[UUID]
    order_id: Mapped[UUID | None]
    show_id: Mapped[UUID | None]
    """Of a reminder: it moves with the show."""
    template: Mapped[str]
    transition: Mapped[str]
    """Which change of which aggregate the message tells of."""
    recipient_key: Mapped[str]
    """The normalised address, or "staff"."""
    channel: Mapped[str]
    recipient: Mapped[str | None]
    """The address; of a message to staff it is settled when it is sent."""
    recipient_name: Mapped[str]
    locale: Mapped[str | None]
    """Null: that of the order, else of the organisation."""
    params: Mapped[dict[str, Any]] = mapped_column(JSONB)
    documents: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    """Signed addresses of the PDF files to attach."""
    resend_of: Mapped[UUID | None]
    traceparent: Mapped[str | None]

    status: Mapped[str] = mapped_column(server_default=Status.PENDING)
    due_at: Mapped[datetime]
    """When to send; after an attempt began, when its lease ends; after it failed, when the next one may begin."""
    context_by: Mapped[datetime]
    """Until when to wait for the order and organisation."""
    give_up_at: Mapped[datetime]
    lane: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    """`lanes.Lane`: whom it waits behind."""
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    attempt_id: Mapped[UUID | None]
    """Of the attempt that is under way."""
    reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    """When we learned that a mail which was sent came back."""


class Suppression(Base):
    """An address that takes no mail: nothing is sent to it unless staff ask for it."""

    __tablename__ = "suppression"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    """Normalised."""
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Attempt(Base):
    """The delivery log: written before the provider is called."""

    __tablename__ = "attempt"
    __table_args__ = (Index(None, "message_id"), Index(None, "started_at"))

    attempt_id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("message.message_id"))
    organisation: Mapped[UUID]
    number: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    detail: Mapped[str | None]
    seconds: Mapped[float | None] = mapped_column(Float)
    """Time the provider took."""


class Organisation(Base):
    """From `accounts.organisation`: who writes, in which language and zone, and where its staff are told."""

    __tablename__ = "organisation"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    name: Mapped[str]
    locale: Mapped[str]
    time_zone: Mapped[str]
    staff_email: Mapped[str]
    staff_phone: Mapped[str | None]


class Preferences(Base):
    """What an organisation has set here."""

    __tablename__ = "preferences"

    organisation: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    reminder_hours: Mapped[int] = mapped_column(Integer)
    """0: no reminders."""


class ShowReminder(Base):
    """What an organisation has set for one of its shows, instead of its preferences (GAP-11)."""

    __tablename__ = "show_reminder"

    show_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    version: Mapped[int]
    hours: Mapped[int | None] = mapped_column(Integer)
    """0: no reminders; None: as the preferences say."""


class KnownOrder(Base):
    """From `orders.order`: the order as of its newest event, for its language and for sending its data again."""

    __tablename__ = "known_order"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    version: Mapped[int]
    locale: Mapped[str]
    state: Mapped[dict[str, Any]] = mapped_column(JSONB)


class KnownShow(Base):
    """From `ticketing.show`: when a show begins now."""

    __tablename__ = "known_show"

    show_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    version: Mapped[int]
    name: Mapped[str]
    hall_name: Mapped[str]
    starts_at: Mapped[datetime]
    status: Mapped[str]


class KnownDocument(Base):
    """From `ticketing.ticket.issued`: the PDF files of an order."""

    __tablename__ = "known_document"
    __table_args__ = (Index(None, "order_id"),)

    document_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID]
    holder: Mapped[str]
    url: Mapped[str]
    ticket_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    starts_at: Mapped[datetime]


class VoidedTicket(Base):
    """From `ticketing.ticket.voided`."""

    __tablename__ = "voided_ticket"

    ticket_id: Mapped[UUID] = mapped_column(primary_key=True)
    organisation: Mapped[UUID]
    order_id: Mapped[UUID]
