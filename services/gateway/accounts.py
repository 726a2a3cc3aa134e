"""Organisations and accounts: every change is published as an event of the same transaction.

The `footlights accounts` command calls these functions with a session of the worker role; so do the routes, which
check first what their caller may do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from chassis import outbox
from chassis.concurrency import check_version
from chassis.people import normalise_email
from contracts.accounts import (
    AccountChanged,
    AccountRegistered,
    AccountState,
    OrganisationChanged,
    OrganisationRegistered,
    OrganisationState,
    Role,
)
from contracts.accounts import Membership as MembershipPart
from services.gateway import passwords, regional
from services.gateway.errors import (
    AccountExists,
    InvitationUnknown,
    NoSuchAccount,
    NoSuchOrganisation,
    OrganisationExists,
    UnusableEmail,
)
from services.gateway.models import Account, ApiKey, Membership, Organisation, SignInSession

ONE_TIME = timedelta(days=7)
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


async def create_organisation(
    session: AsyncSession,
    *,
    slug: str,
    name: str,
    staff_email: str,
    currency: str = "UAH",
    locale: str = "en",
    time_zone: str = "Europe/Kyiv",
    phone_region: str = "UA",
    staff_phone: str | None = None,
    organisation_id: UUID | None = None,
) -> Organisation:
    """Sets up the back office of an organisation (TKT-5, SET-10). Raises `OrganisationExists` if the slug is taken, and
    `SettingRefused`."""
    settings = {"currency": currency, "locale": locale, "time_zone": time_zone, "phone_region": phone_region}
    regional.check({**settings, "staff_email": staff_email})
    if await session.scalar(select(Organisation.id).where(Organisation.slug == slug)) is not None:
        raise OrganisationExists(f"There is an organisation {slug!r} already.")
    organisation = Organisation(
        slug=slug,
        name=name,
        currency=currency,
        locale=locale,
        time_zone=time_zone,
        phone_region=phone_region,
        staff_email=staff_email,
        staff_phone=staff_phone,
    )
    if organisation_id is not None:
        organisation.id = organisation_id
    session.add(organisation)
    await session.flush()
    _publish_organisation(session, organisation, OrganisationRegistered)
    return organisation


async def change_organisation(
    session: AsyncSession, organisation_id: UUID, seen: int, **changes: str | None
) -> Organisation:
    """Changes settings of an organisation by their column names. Raises `PreconditionFailed` and `SettingRefused`."""
    regional.check(changes)
    organisation = await session.get(Organisation, organisation_id, with_for_update=True)
    if organisation is None:
        raise NoSuchOrganisation(f"There is no organisation {organisation_id}.")
    check_version(seen, organisation.version)
    for column, value in changes.items():
        setattr(organisation, column, value)
    organisation.version += 1
    _publish_organisation(session, organisation, OrganisationChanged)
    return organisation


async def find_organisation(session: AsyncSession, slug_or_id: str) -> Organisation:
    """Raises `NoSuchOrganisation`."""
    try:
        condition = Organisation.id == UUID(slug_or_id)
    except ValueError:
        condition = Organisation.slug == slug_or_id
    found = await session.scalar(select(Organisation).where(condition))
    if found is None:
        raise NoSuchOrganisation(f"There is no organisation {slug_or_id!r}.")
    return found


async def create_account(
    session: AsyncSession,
    *,
    email: str,
    name: str,
    password: str | None = None,
    password_hash: str | None = None,
    one_time: bool = False,
    phone: str | None = None,
    locale: str = "en",
    memberships: Mapping[UUID, Iterable[Role]] | None = None,
    made_by: UUID | None = None,
    verified: bool = False,
    shared_with: Sequence[UUID] = (),
) -> Account:
    """An account of a buyer or, with `memberships`, of staff (ROL-13, ROL-15); `made_by` is the organisation that may
    give it a new one-time password, and `verified` says that the address is known to be the person's.

    Give `password_hash` where the hash is made before the transaction. Raises `AccountExists`, `UnusableEmail`.
    """
    await one_at_a_time(session, email)
    if await _by_email(session, email) is not None:
        raise AccountExists("There is an account with this e-mail address already.")
    if password is not None:
        password_hash = await passwords.hash_password(password)
    account = Account(
        email=email.strip(),
        email_key=email_key(email),
        name=name,
        phone=phone,
        locale=locale,
        password_hash=password_hash,
        password_expires_at=datetime.now(UTC) + ONE_TIME if one_time else None,
        made_by=made_by,
        shared_with=list(shared_with),
        verified_at=datetime.now(UTC) if verified else None,
        memberships=[
            Membership(organisation=organisation, roles=_texts(roles))
            for organisation, roles in (memberships or {}).items()
        ],
    )
    session.add(account)
    await session.flush()
    _publish_account(session, account, AccountRegistered)
    return account


async def one_at_a_time(session: AsyncSession, email: str) -> None:
    """Nobody else opens an account with this address until the transaction ends. Raises `UnusableEmail`."""
    await session.execute(ONE_AT_A_TIME, {"name": f"gateway account {email_key(email)}"})


async def verify(session: AsyncSession, account: Account) -> None:
    """The person of a locked account has proved that they read its address, and the platform hears of them.

    Whoever opened the account before knows its password, and may have made sessions and keys: all of it ends.
    """
    if account.verified_at is None:
        account.verified_at = datetime.now(UTC)
        await set_password(session, account, None)
        account.version += 1
        _publish_account(session, account, AccountRegistered)


async def set_password(
    session: AsyncSession,
    account: Account,
    password_hash: str | None,
    *,
    one_time: bool = False,
    keep: UUID | None = None,
) -> None:
    """Replaces the password and ends every session but `keep`, and every API key: whoever got in may have made one. A
    one-time password must be changed after sign-in."""
    account.password_hash = password_hash
    account.password_expires_at = datetime.now(UTC) + ONE_TIME if one_time else None
    await session.execute(
        delete(SignInSession).where(SignInSession.account_id == account.id, SignInSession.id.is_distinct_from(keep))
    )
    await session.execute(delete(ApiKey).where(ApiKey.account_id == account.id))


async def change_person(session: AsyncSession, account: Account, **changes: Any) -> None:
    """Changes a person's own data by their column names."""
    for column, value in changes.items():
        setattr(account, column, value)
    changed(session, account)


async def set_roles(
    session: AsyncSession, account: Account, organisation: UUID, roles: Iterable[Role], *, invited: bool = False
) -> str | None:
    """Gives roles in one organisation; none ends the membership. With `invited` they count once the person entered the
    code that is returned (see `accept_invitation`)."""
    texts = _texts(roles)
    membership = next((m for m in account.memberships if m.organisation == organisation), None)
    code = None
    if not texts:
        if membership is not None:
            account.memberships.remove(membership)
            await session.delete(membership)
        if account.made_by == organisation:
            account.made_by = None
    elif membership is None:
        code = token_hex(8) if invited else None
        account.memberships.append(
            Membership(organisation=organisation, roles=texts, invitation_hash=digest(code) if code else None)
        )
    else:
        membership.roles = texts
    changed(session, account)
    return code


async def accept_invitation(session: AsyncSession, account: Account, code: str) -> UUID:
    """The person confirms that the account is theirs: the invitation's roles count from now on.

    Without it, whoever registers first with the e-mail address of a manager-to-be would become that manager.
    """
    membership = next((m for m in account.memberships if m.invitation_hash == digest(code)), None)
    if membership is None:
        raise InvitationUnknown("No organisation has invited this account with such a code.")
    membership.invitation_hash = None
    changed(session, account)
    return membership.organisation


async def load_account(session: AsyncSession, account_id: UUID, *, lock: bool = False) -> Account:
    """The account with its memberships. Raises `NoSuchAccount`."""
    query = select(Account).where(Account.id == account_id).options(selectinload(Account.memberships))
    account = await session.scalar(query.with_for_update(of=Account) if lock else query)
    if account is None:
        raise NoSuchAccount("There is no such account.")
    return account


async def find_account(session: AsyncSession, email: str, *, lock: bool = False) -> Account | None:
    """The account with its memberships, or None."""
    account_id = await _by_email(session, email)
    return None if account_id is None else await load_account(session, account_id, lock=lock)


def changed(session: AsyncSession, account: Account) -> None:
    """Publishes the state of a locked account, if its address is proven."""
    account.version += 1
    _publish_account(session, account, AccountChanged)


def email_key(email: str) -> str:
    """Raises `UnusableEmail`."""
    key = normalise_email(email)
    if key is None:
        raise UnusableEmail(f"{email!r} is not an e-mail address.")
    return key


def digest(secret: str) -> bytes:
    """How a random secret is stored: it has too many bits to be guessed, so a fast hash is enough."""
    return sha256(secret.encode()).digest()


async def _by_email(session: AsyncSession, email: str) -> UUID | None:
    return await session.scalar(select(Account.id).where(Account.email_key == email_key(email)))


def _texts(roles: Iterable[Role]) -> list[str]:
    return sorted({Role(role).value for role in roles})


def _publish_organisation(session: AsyncSession, organisation: Organisation, kind: type[OrganisationState]) -> None:
    state = kind(
        organisation_id=organisation.id,
        slug=organisation.slug,
        name=organisation.name,
        currency=organisation.currency,
        locale=organisation.locale,
        time_zone=organisation.time_zone,
        phone_region=organisation.phone_region,
        staff_email=organisation.staff_email,
        staff_phone=organisation.staff_phone,
    )
    outbox.add(session, state, organisation=organisation.id, version=organisation.version)


def _publish_account(session: AsyncSession, account: Account, kind: type[AccountState]) -> None:
    if account.verified_at is None:
        return
    state = kind(
        account_id=account.id,
        email=account.email,
        name=account.name,
        phone=account.phone,
        locale=account.locale,
        memberships=tuple(
            MembershipPart(organisation_id=m.organisation, roles=tuple(Role(role) for role in m.roles))
            for m in account.memberships
            if m.invitation_hash is None
        ),
        shared_with=tuple(account.shared_with),
    )
    outbox.add(session, state, organisation=None, version=account.version)
