"""What staff may see and do: messages, their delivery log, sending again, and when to remind."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from starlette.requests import Request
from starlette.responses import Response

from chassis.concurrency import IfMatch, check_version, set_etag
from chassis.edge import Caller, Tx, staff
from chassis.idempotency import Once
from chassis.problems import NotFound, raises
from contracts.accounts import BACK_OFFICE, Role
from services.notifications import queries, resend
from services.notifications.errors import ContentsForgotten, NobodyToWrite, StillOnItsWay
from services.notifications.letters import Template
from services.notifications.models import Preferences, Status
from services.notifications.settings import Settings

ORGANISERS = (Role.ORGANIZER, Role.TICKET_ORGANIZER, Role.SCHOOL_STAFF, Role.PROJECT_HEAD)

StaffCaller = Annotated[Caller, Depends(staff(*BACK_OFFICE))]
OrganiserCaller = Annotated[Caller, Depends(staff(*ORGANISERS))]

router = APIRouter(tags=["notifications"])


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
