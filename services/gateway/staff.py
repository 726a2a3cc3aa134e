"""Routes of an organisation's staff accounts: managers do not register themselves (ROL-13, ROL-15)."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from chassis.concurrency import IfMatch, check_version, set_etag
from chassis.edge import Caller, Tx, staff
from chassis.patches import changes
from chassis.problems import Conflict, raises
from contracts.accounts import Role
from services.gateway import accounts, letters, passwords
from services.gateway.asking import db_of, identities_of
from services.gateway.errors import NoSuchAccount, RolesRefused, SharedAccount, UnusableEmail
from services.gateway.models import Account, Membership
from services.gateway.schemas import (
    AccountOut,
    NewRoles,
    NewStaff,
    NewStaffOut,
    OneTimePassword,
    OrganisationChange,
    OrganisationOut,
    StaffList,
    StaffOut,
)

router = APIRouter(tags=["staff"])

Giver = Annotated[Caller, Depends(staff(Role.PROJECT_HEAD, Role.SUPPORT))]
Head = Annotated[Caller, Depends(staff(Role.PROJECT_HEAD))]
AnyStaff = Annotated[Caller, Depends(staff())]

LEADING = frozenset({Role.PROJECT_HEAD, Role.SUPPORT})


@router.get("/accounts")
async def list_staff(caller: Giver, session: Tx) -> StaffList:
    """The organisation's staff by name."""
    found = await session.scalars(
        select(Membership)
        .join(Account)
        .where(Membership.organisation == caller.staff_organisation)
        .options(selectinload(Membership.account))
        .order_by(Account.name, Account.id)
    )
    return StaffList(items=[_staff_out(membership.account, membership) for membership in found])


@router.post("/accounts", status_code=201)
@raises(Conflict, RolesRefused)
async def create_staff(new: NewStaff, caller: Giver, request: Request, response: Response) -> NewStaffOut:
    """Gives a person roles in the organisation (ROL-13).

    A new person gets a one-time password, to be changed at the first sign-in, and a letter whose link proves that the
    address is theirs and makes the one-time password needless. A person who has an account on the
    platform keeps it and confirms with a code; 409 if they work for the organisation already.
    """
    organisation = caller.staff_organisation
    _require_may_give(caller, new.roles)
    password = passwords.one_time_password()
    password_hash = await passwords.hash_password(password)
    async with db_of(request).as_worker() as session:
        account = await accounts.find_account(session, new.email, lock=True)
        if account is not None:
            if _membership(account, organisation) is not None:
                raise Conflict("This person works for the organisation already; change their roles instead.")
            code = await accounts.set_roles(session, account, organisation, new.roles, invited=True)
            set_etag(response, account.version)
            return _invited(account, new, code)
        account = await accounts.create_account(
            session,
            email=new.email,
            name=new.name,
            phone=new.phone,
            locale=new.locale,
            password_hash=password_hash,
            one_time=True,
            memberships={organisation: new.roles},
            made_by=organisation,
        )
        await letters.request(session, new.email, new.locale, identities_of(request).letter_lifetime)
        answer = _staff_out(account, account.memberships[0])
        set_etag(response, answer.version)
    return NewStaffOut(**answer.model_dump(), one_time_password=password, invitation_code=None)


def _invited(account: Account, new: NewStaff, code: str | None) -> NewStaffOut:
    """Until the person confirms, the organisation learns nothing of them but what it entered itself."""
    shown = AccountOut(
        id=account.id, email=new.email, name=new.name, phone=new.phone, locale=new.locale, verified=False
    )
    return NewStaffOut(
        **shown.model_dump(),
        version=account.version,
        roles=new.roles,
        confirmed=False,
        one_time_password=None,
        invitation_code=code,
    )


@router.put("/accounts/{account_id}/roles")
@raises(RolesRefused)
async def change_roles(
    account_id: UUID, new: NewRoles, seen: IfMatch, caller: Giver, request: Request, response: Response
) -> StaffOut:
    """Replaces the roles that a member of staff has in the organisation."""
    organisation = caller.staff_organisation
    _require_may_give(caller, new.roles)
    async with db_of(request).as_worker() as session:
        account, membership = await _load_member(session, caller, account_id)
        check_version(seen, account.version)
        await accounts.set_roles(session, account, organisation, new.roles)
        answer = _staff_out(account, membership)
    set_etag(response, answer.version)
    identities_of(request).forget(account_id=account_id)
    return answer


@router.delete("/accounts/{account_id}", status_code=204)
@raises(Conflict, RolesRefused)
async def remove_staff(account_id: UUID, caller: Giver, request: Request) -> None:
    """The person no longer works for the organisation. Their account stays theirs."""
    if account_id == caller.account_id:
        raise Conflict("You cannot remove yourself.")
    async with db_of(request).as_worker() as session:
        account, _ = await _load_member(session, caller, account_id)
        await accounts.set_roles(session, account, caller.staff_organisation, ())
    identities_of(request).forget(account_id=account_id)


@router.post("/accounts/{account_id}/one-time-password", status_code=201)
@raises(RolesRefused, SharedAccount)
async def reset_password(account_id: UUID, caller: Giver, request: Request) -> OneTimePassword:
    """A new one-time password for a member of staff who lost theirs; ends their sessions and API keys.

    409 for an account that the organisation did not make, or that works for another one too: whoever gets the password
    also sees what the person bought elsewhere.
    """
    password = passwords.one_time_password()
    password_hash = await passwords.hash_password(password)
    async with db_of(request).as_worker() as session:
        account, _ = await _load_member(session, caller, account_id)
        if len(account.memberships) > 1 or account.made_by != caller.staff_organisation:
            raise SharedAccount(
                "The account is not this organisation's alone; the operators of the platform can reset it."
            )
        await accounts.set_password(session, account, password_hash, one_time=True)
    identities_of(request).forget(account_id=account_id)
    return OneTimePassword(one_time_password=password)


@router.get("/organisation")
async def show_organisation(caller: AnyStaff, session: Tx, response: Response) -> OrganisationOut:
    """The settings of the caller's organisation."""
    found = await accounts.find_organisation(session, str(caller.staff_organisation))
    set_etag(response, found.version)
    return OrganisationOut.model_validate(found)


@router.patch("/organisation")
@raises(UnusableEmail)
async def change_organisation(
    change: OrganisationChange, seen: IfMatch, caller: Head, request: Request, response: Response
) -> OrganisationOut:
    """Changes the settings of the caller's organisation."""
    async with db_of(request).as_worker() as session:
        named = changes(change, "staff_phone")
        if "staff_email" in named:
            accounts.email_key(named["staff_email"])
        organisation = await accounts.change_organisation(session, caller.staff_organisation, seen, **named)
        set_etag(response, organisation.version)
        return OrganisationOut.model_validate(organisation)


def _require_may_give(caller: Caller, roles: list[Role]) -> None:
    """The head of the project gives any role; support gives all but the leading ones."""
    if Role.PROJECT_HEAD not in caller.roles and not LEADING.isdisjoint(roles):
        raise RolesRefused("Only the head of the project gives the roles project_head and support.")


async def _load_member(session: AsyncSession, caller: Caller, account_id: UUID) -> tuple[Account, Membership]:
    account = await accounts.load_account(session, account_id, lock=True)
    membership = _membership(account, caller.staff_organisation)
    if membership is None:
        raise NoSuchAccount("The organisation has no such member of staff.")
    _require_may_give(caller, [Role(role) for role in membership.roles])
    return account, membership


def _membership(account: Account, organisation: UUID) -> Membership | None:
    return next((m for m in account.memberships if m.organisation == organisation), None)


def _staff_out(account: Account, membership: Membership) -> StaffOut:
    confirmed = membership.invitation_hash is None
    shown = AccountOut.model_validate(account)
    if not confirmed:
        # The person has not agreed yet: what the platform knows of them is not the organisation's.
        shown = AccountOut(
            id=account.id,
            email=account.email,
            name=account.email,
            phone=None,
            locale=account.locale,
            verified=False,
        )
    roles = [Role(role) for role in membership.roles]
    return StaffOut(**shown.model_dump(), version=account.version, roles=roles, confirmed=confirmed)
