"""Routes of a person's own account: registration, signing in and out, sessions, API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from chassis.edge import Caller, Tx, buyer, public
from chassis.patches import changes
from chassis.people import normalise_email
from chassis.problems import Conflict, NotFound, raises
from contracts.accounts import Role
from services.gateway import accounts, metrics, passwords, sessions
from services.gateway.attempts import Attempts
from services.gateway.errors import (
    AccountExists,
    InvitationUnknown,
    PasswordExpired,
    RolesRefused,
    SessionNeeded,
    TooManyAttempts,
    UnusableEmail,
    WrongPassword,
)
from services.gateway.front import IDENTITY, cookie_name
from services.gateway.identities import Identities, Identity
from services.gateway.models import Account, Organisation
from services.gateway.schemas import (
    AccountOut,
    InvitationCode,
    KeyList,
    KeyOut,
    Me,
    MembershipOut,
    NewKey,
    NewKeyOut,
    OrganisationRef,
    PasswordChange,
    PersonChange,
    Registration,
    SessionList,
    SessionOut,
    SignedIn,
    SignIn,
)

MOST_KEYS = 50

router = APIRouter(prefix="/auth", tags=["account"])

SignedInCaller = Annotated[Caller, Depends(buyer())]


@router.post("/register", status_code=201, dependencies=[Depends(public())])
@raises(AccountExists, UnusableEmail)
async def register(new: Registration, request: Request, response: Response) -> SignedIn:
    """Opens an account for a buyer (REG-6) and signs them in. 409 if the e-mail address has one already."""
    password_hash = await passwords.hash_password(new.password)
    async with _db(request).as_worker() as session:
        account = await accounts.create_account(
            session,
            email=new.email,
            name=new.name,
            phone=new.phone,
            locale=new.locale,
            password_hash=password_hash,
        )
        return await _signed_in(session, account, request, response)


@router.post("/sign-in", dependencies=[Depends(public())])
@raises(PasswordExpired, TooManyAttempts, WrongPassword)
async def sign_in(given: SignIn, request: Request, response: Response) -> SignedIn:
    """Starts a session in a cookie. 401 for a wrong e-mail or password, without saying which; 429 after too many."""
    address = _address(request)
    key = normalise_email(given.email) or given.email
    attempts: Attempts = request.app.state.attempts
    attempts.start(key, address)
    async with _db(request).as_worker() as session:
        account = await accounts.find_account(session, key) if "@" in key else None
    stored = account.password_hash if account else None
    if not await passwords.verify_password(stored, given.password) or account is None or stored is None:
        metrics.SIGN_INS.labels("refused").inc()
        raise WrongPassword("The e-mail address or the password is wrong.")
    if account.password_expires_at is not None and account.password_expires_at < datetime.now(UTC):
        metrics.SIGN_INS.labels("expired").inc()
        raise PasswordExpired("Ask for a new one-time password where you got this one.")
    attempts.succeeded(key, address)
    renewed = await passwords.hash_password(given.password) if passwords.is_outdated(stored) else None
    async with _db(request).as_worker() as session:
        account = await accounts.load_account(session, account.id, lock=True)
        if account.password_hash != stored:
            raise WrongPassword("The password has just been changed.")
        account.password_hash = renewed or stored
        metrics.SIGN_INS.labels("ok").inc()
        return await _signed_in(session, account, request, response)


@router.post("/sign-out", status_code=204)
@raises(SessionNeeded)
async def sign_out(caller: SignedInCaller, request: Request, response: Response) -> None:
    """Ends the session of the cookie."""
    identity = _identity(request)
    if identity.session_id is None:
        raise SessionNeeded("An API key is not signed in; revoke it instead.")
    async with _db(request).as_worker() as session:
        await sessions.end_session(session, identity.account_id, identity.session_id)
    _identities(request).forget(account_id=identity.account_id)
    settings = request.app.state.settings
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.secure_cookies, httponly=True, samesite="lax"
    )


@router.get("/me")
async def me(caller: SignedInCaller, request: Request, session: Tx) -> Me:
    """Who is signed in, and what they may do in the organisation of `X-Organisation`."""
    identity = _identity(request)
    account = await accounts.load_account(session, identity.account_id)
    found = await session.scalars(
        select(Organisation).where(Organisation.id.in_([m.organisation for m in account.memberships]))
    )
    organisations = {organisation.id: organisation for organisation in found}
    return Me(
        account=AccountOut.model_validate(account),
        organisation=caller.organisation,
        roles=sorted(caller.roles),
        memberships=[
            MembershipOut(
                organisation=OrganisationRef.model_validate(organisations[m.organisation]),
                roles=[Role(role) for role in m.roles],
                confirmed=m.invitation_hash is None,
            )
            for m in account.memberships
        ],
        csrf_token=identity.csrf,
        password_change_required=account.password_expires_at is not None,
    )


@router.patch("/me")
async def change_me(change: PersonChange, caller: SignedInCaller, request: Request) -> AccountOut:
    """Changes the person's own data. What they once typed into orders stays as it was (CUS-12)."""
    async with _db(request).for_organisation(None, caller.account_id) as session:
        account = await accounts.load_account(session, _identity(request).account_id, lock=True)
        await accounts.change_person(session, account, **changes(change, "phone"))
        answer = AccountOut.model_validate(account)
    _identities(request).forget(account_id=answer.id)
    return answer


@router.post("/password", status_code=204)
@raises(Conflict, SessionNeeded, TooManyAttempts, WrongPassword)
async def change_password(change: PasswordChange, caller: SignedInCaller, request: Request) -> None:
    """Changes the password, and ends all other sessions and every API key: make new ones for your programs. After a
    one-time password this opens the roles (ROL-13)."""
    identity = _session_identity(request)
    attempts: Attempts = request.app.state.attempts
    attempts.start(str(identity.account_id), _address(request))
    async with _db(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id)
    if not await passwords.verify_password(account.password_hash, change.current):
        raise WrongPassword("The current password is wrong.")
    attempts.succeeded(str(identity.account_id), _address(request))
    if change.new == change.current:
        raise Conflict("The new password must differ from the current one.")
    password_hash = await passwords.hash_password(change.new)
    async with _db(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id, lock=True)
        await accounts.set_password(session, account, password_hash, keep=identity.session_id)
    _identities(request).forget(account_id=identity.account_id)


@router.post("/invitations/accept")
@raises(InvitationUnknown, SessionNeeded, TooManyAttempts)
async def accept_invitation(given: InvitationCode, caller: SignedInCaller, request: Request) -> OrganisationRef:
    """Joins an organisation with the code that it gave the person (ROL-13)."""
    identity = _session_identity(request)
    attempts: Attempts = request.app.state.attempts
    attempts.start(f"invitation {identity.account_id}", _address(request))
    async with _db(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id, lock=True)
        organisation = await accounts.accept_invitation(session, account, given.code)
        answer = OrganisationRef.model_validate(await accounts.find_organisation(session, str(organisation)))
    attempts.succeeded(f"invitation {identity.account_id}", _address(request))
    _identities(request).forget(account_id=identity.account_id)
    return answer


@router.get("/sessions")
async def list_sessions(caller: SignedInCaller, request: Request, session: Tx) -> SessionList:
    """Browsers that are signed in to the account, the one used last first."""
    identity = _identity(request)
    items = [SessionOut.model_validate(one) for one in await sessions.list_sessions(session, identity.account_id)]
    for item in items:
        item.current = item.id == identity.session_id
    return SessionList(items=items)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(session_id: UUID, caller: SignedInCaller, request: Request) -> None:
    """Signs out another browser."""
    identity = _identity(request)
    async with _db(request).as_worker() as session:
        if not await sessions.end_session(session, identity.account_id, session_id):
            raise NotFound("You have no such session.")
    _identities(request).forget(account_id=identity.account_id)


@router.post("/api-keys", status_code=201)
@raises(Conflict, RolesRefused, SessionNeeded)
async def create_key(new: NewKey, caller: SignedInCaller, request: Request) -> NewKeyOut:
    """Makes a key for a program. The key is answered once and never again."""
    identity = _session_identity(request)
    roles = caller.roles if new.roles is None else frozenset(new.roles)
    if not roles <= caller.roles:
        raise RolesRefused("A key can have only roles that you have in the organisation.")
    async with _db(request).as_worker() as session:
        await accounts.load_account(session, identity.account_id, lock=True)
        if len(await sessions.list_keys(session, identity.account_id)) >= MOST_KEYS:
            raise Conflict(f"An account has at most {MOST_KEYS} keys. Revoke one first.")
        key, secret = await sessions.create_key(
            session,
            identity.account_id,
            name=new.name,
            organisation=caller.organisation,
            roles=roles,
            expires_at=datetime.now(UTC) + timedelta(days=new.expires_in_days),
        )
        return NewKeyOut(**KeyOut.model_validate(key).model_dump(), key=secret)


@router.get("/api-keys")
async def list_keys(caller: SignedInCaller, request: Request, session: Tx) -> KeyList:
    """The account's keys, the newest first."""
    keys = await sessions.list_keys(session, _identity(request).account_id)
    return KeyList(items=[KeyOut.model_validate(key) for key in keys])


@router.delete("/api-keys/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, caller: SignedInCaller, request: Request) -> None:
    """The key opens nothing from now on."""
    identity = _identity(request)
    async with _db(request).as_worker() as session:
        if not await sessions.revoke_key(session, identity.account_id, key_id):
            raise NotFound("You have no such key.")
    _identities(request).forget(account_id=identity.account_id)


async def _signed_in(session: AsyncSession, account: Account, request: Request, response: Response) -> SignedIn:
    lifetime = _identities(request).lifetime
    client = f"{_address(request)} {request.headers.get('user-agent', '')}".strip()
    token = await sessions.start_session(session, account.id, client, lifetime)
    settings = request.app.state.settings
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=int(lifetime.absolute.total_seconds()),
        path="/",
        secure=settings.secure_cookies,
        httponly=True,
        samesite="lax",
    )
    response.headers["Cache-Control"] = "no-store"
    return SignedIn(
        account=AccountOut.model_validate(account),
        csrf_token=sessions.csrf_token(token),
        password_change_required=account.password_expires_at is not None,
    )


def _db(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


def _identities(request: Request) -> Identities:
    identities: Identities = request.app.state.identities
    return identities


def _identity(request: Request) -> Identity:
    """Who the front of the gateway found to be calling; a `buyer` permission has let them through."""
    identity: Identity | None = request.scope.get(IDENTITY)
    if identity is None:
        raise SessionNeeded("Ask through the gateway.")
    return identity


def _session_identity(request: Request) -> Identity:
    identity = _identity(request)
    if identity.session_id is None:
        raise SessionNeeded("An API key cannot do this: sign in with the password.")
    return identity


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
