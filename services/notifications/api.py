"""What staff may see and do: messages, their delivery log, sending again, and when to remind."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.requests import Request
from starlette.responses import Response

from chassis.concurrency import IfMatch, check_version, set_etag
from chassis.edge import Caller, Tx, staff
from chassis.idempotency import Once
from chassis.people import normalise_email
from chassis.problems import NotFound, raises
from chassis.texts import STORABLE
from contracts.accounts import BACK_OFFICE, Role
from services.notifications import known, queries, resend
from services.notifications.errors import ContentsForgotten, NobodyToWrite, StillOnItsWay
from services.notifications.letters import Template
from services.notifications.models import KnownShow, Preferences, ShowReminder, Status, Suppression
from services.notifications.settings import Settings

ORGANISERS = (Role.ORGANIZER, Role.TICKET_ORGANIZER, Role.SCHOOL_STAFF, Role.PROJECT_HEAD)

StaffCaller = Annotated[Caller, Depends(staff(*BACK_OFFICE))]
OrganiserCaller = Annotated[Caller, Depends(staff(*ORGANISERS))]

router = APIRouter(tags=["messages"])


class Accepted(BaseModel):
    """The new message, which goes out in a moment."""

    message_id: UUID
    status: Status


class PreferencesView(BaseModel):
    """How many hours before a show its ticket holders are reminded (NTF-3); 0: never."""

    reminder_hours: int = Field(ge=0, le=24 * 60)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


@router.get("/messages")
async def list_messages(
    tx: Tx,
    caller: StaffCaller,
    order_id: UUID | None = None,
    status: Status | None = None,
    template: Template | None = None,
    undelivered: Annotated[
        bool, Query(description="Only those refused for good, given up, or sent and come back")
    ] = False,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> queries.MessagePage:
    """Messages of the organisation, newest first."""
    return await queries.page(
        tx,
        caller.staff_organisation,
        order_id=order_id,
        status=status,
        template=template,
        undelivered=undelivered,
        cursor=cursor,
        limit=limit,
    )


@router.get("/messages/totals")
async def message_totals(tx: Tx, caller: StaffCaller) -> queries.Totals:
    """How many messages there are by status and template."""
    return await queries.totals(tx, caller.staff_organisation)


@router.get("/messages/{message_id}")
async def message_details(tx: Tx, caller: StaffCaller, message_id: UUID) -> queries.MessageDetails:
    """One message with every attempt to deliver it."""
    found = await queries.details(tx, caller.staff_organisation, message_id)
    if found is None:
        raise NotFound("There is no such message.")
    return found


@router.post("/messages/{message_id}/resend", status_code=202, response_model=Accepted)
@raises(NobodyToWrite, StillOnItsWay, ContentsForgotten)
async def resend_message(tx: Tx, caller: StaffCaller, message_id: UUID, once: Once, request: Request) -> Response:
    """Sends a message once more, to the same recipient."""
    organisation, settings = caller.staff_organisation, _settings(request)
    return await once.run(tx, 202, lambda: resend.message(tx, organisation, message_id, settings))


@router.post("/orders/{order_id}/resend", status_code=202, response_model=Accepted)
@raises(NobodyToWrite)
async def resend_order_data(tx: Tx, caller: StaffCaller, order_id: UUID, once: Once, request: Request) -> Response:
    """Sends the order's data to the buyer (NTF-10)."""
    organisation, settings = caller.staff_organisation, _settings(request)
    return await once.run(tx, 202, lambda: resend.order_data(tx, organisation, order_id, settings))


@router.get("/preferences")
async def read_preferences(tx: Tx, caller: StaffCaller, request: Request, response: Response) -> PreferencesView:
    """The organisation's settings of messages."""
    row = await tx.scalar(select(Preferences).where(Preferences.organisation == caller.staff_organisation))
    set_etag(response, row.version if row else 0)
    return PreferencesView(reminder_hours=row.reminder_hours if row else _settings(request).reminder_hours)


@router.put("/preferences")
async def write_preferences(
    tx: Tx, caller: OrganiserCaller, seen: IfMatch, wanted: PreferencesView, response: Response
) -> PreferencesView:
    """Changes when people are reminded of shows whose tickets are sold from now on."""
    organisation = caller.staff_organisation
    await tx.execute(
        insert(Preferences).values(organisation=organisation, version=0, reminder_hours=0).on_conflict_do_nothing()
    )
    row = await tx.scalar(select(Preferences).where(Preferences.organisation == organisation).with_for_update())
    check_version(seen, row.version if row else 0)
    await tx.execute(
        update(Preferences)
        .where(Preferences.organisation == organisation)
        .values(version=seen + 1, reminder_hours=wanted.reminder_hours)
    )
    set_etag(response, seen + 1)
    return wanted


class ReminderView(BaseModel):
    """When the ticket holders of one show are reminded (NTF-3, GAP-11)."""

    model_config = ConfigDict(extra="forbid")

    hours: int | None = Field(ge=0, le=24 * 60)
    """Before the show; 0: never; null: as the organisation's preferences say."""


class ShowReminderView(ReminderView):
    effective_hours: int
    """What holds now."""


@router.get("/shows/{show_id}/reminder")
async def read_show_reminder(
    tx: Tx, caller: StaffCaller, show_id: UUID, request: Request, response: Response
) -> ShowReminderView:
    """When people are reminded of this show."""
    await _known_show(tx, caller, show_id)
    row = await tx.get(ShowReminder, show_id)
    set_etag(response, row.version if row else 0)
    return await _reminder(tx, caller, show_id, row.hours if row else None, request)


@router.put("/shows/{show_id}/reminder")
async def write_show_reminder(
    tx: Tx,
    caller: OrganiserCaller,
    show_id: UUID,
    seen: IfMatch,
    wanted: ReminderView,
    request: Request,
    response: Response,
) -> ShowReminderView:
    """Changes when people are reminded of this show. Reminders that wait already move along."""
    await _known_show(tx, caller, show_id)
    organisation = caller.staff_organisation
    fresh = insert(ShowReminder).values(show_id=show_id, organisation=organisation, version=0, hours=None)
    await tx.execute(fresh.on_conflict_do_nothing())
    row = await tx.get_one(ShowReminder, show_id, with_for_update=True)
    check_version(seen, row.version)
    row.version, row.hours = seen + 1, wanted.hours
    await tx.flush()
    view = await _reminder(tx, caller, show_id, wanted.hours, request)
    await known.remind(tx, organisation, show_id, view.effective_hours)
    set_etag(response, row.version)
    return view


async def _known_show(tx: Tx, caller: Caller, show_id: UUID) -> None:
    mine = select(KnownShow.show_id).where(
        KnownShow.show_id == show_id, KnownShow.organisation == caller.staff_organisation
    )
    if await tx.scalar(mine) is None:
        raise NotFound("There is no such show, or it was created a moment ago.")


async def _reminder(tx: Tx, caller: Caller, show_id: UUID, hours: int | None, request: Request) -> ShowReminderView:
    default = _settings(request).reminder_hours
    holds = await known.reminder_hours(tx, caller.staff_organisation, show_id, default)
    return ShowReminderView(hours=hours, effective_hours=holds)


class SuppressionView(BaseModel):
    """An address that takes no mail. Nothing is sent to it unless staff send a message again."""

    address: str
    reason: str
    since: datetime


@router.get("/suppressions")
async def list_suppressions(
    tx: Tx, caller: StaffCaller, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> list[SuppressionView]:
    """The newest addresses that take no mail."""
    rows = await tx.scalars(
        select(Suppression)
        .where(Suppression.organisation == caller.staff_organisation)
        .order_by(Suppression.since.desc(), Suppression.address)
        .limit(limit)
    )
    return [SuppressionView.model_validate(row, from_attributes=True) for row in rows]


@router.delete("/suppressions", status_code=204)
async def lift_suppression(
    tx: Tx, caller: StaffCaller, address: Annotated[str, Query(max_length=320), STORABLE]
) -> None:
    """Writes to an address again, because its owner says that it works."""
    await tx.execute(
        delete(Suppression).where(
            Suppression.organisation == caller.staff_organisation,
            Suppression.address == (normalise_email(address) or address),
        )
    )
