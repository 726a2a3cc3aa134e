"""Routes of a person's own account: registration, signing in and out, their data, password and invitations."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.edge import Tx, public
from chassis.patches import changes
from chassis.people import normalise_email
from chassis.problems import Conflict, raises
from contracts.accounts import Role
from services.gateway import accounts, metrics, passwords, sessions
from services.gateway.asking import SignedInCaller, address_of, db_of, identities_of, identity_of, who_signed_in
from services.gateway.attempts import Attempts
from services.gateway.errors import (
    AccountExists,
    InvitationUnknown,
    PasswordExpired,
    SessionNeeded,
    TooManyAttempts,
    UnusableEmail,
    WrongPassword,
)
from services.gateway.front import cookie_name
from services.gateway.models import Account, Organisation
from services.gateway.schemas import (
    AccountOut,
    InvitationCode,
    Me,
    MembershipOut,
    OrganisationRef,
    PasswordChange,
    PersonChange,
    Registration,
    SignedIn,
    SignIn,
)

router = APIRouter(prefix="/auth", tags=["account"])


@router.post("/register", status_code=201, dependencies=[Depends(public())])
@raises(AccountExists, UnusableEmail)
async def register(new: Registration, request: Request, response: Response) -> SignedIn:
    """Opens an account for a buyer (REG-6) and signs them in. 409 if the e-mail address has one already."""
    password_hash = await passwords.hash_password(new.password)
    async with db_of(request).as_worker() as session:
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
    address = address_of(request)
    key = normalise_email(given.email) or given.email
    attempts: Attempts = request.app.state.attempts
    attempts.start(key, address)
    async with db_of(request).as_worker() as session:
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
    async with db_of(request).as_worker() as session:
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
    identity = identity_of(request)
    if identity.session_id is None:
        raise SessionNeeded("An API key is not signed in; revoke it instead.")
    async with db_of(request).as_worker() as session:
        await sessions.end_session(session, identity.account_id, identity.session_id)
    identities_of(request).forget(account_id=identity.account_id)
    settings = request.app.state.settings
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.secure_cookies, httponly=True, samesite="lax"
    )


@router.get("/me")
async def me(caller: SignedInCaller, request: Request, session: Tx) -> Me:
    """Who is signed in, and what they may do in the organisation of `X-Organisation`."""
    identity = identity_of(request)
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
    async with db_of(request).for_organisation(None, caller.account_id) as session:
        account = await accounts.load_account(session, identity_of(request).account_id, lock=True)
        await accounts.change_person(session, account, **changes(change, "phone"))
        answer = AccountOut.model_validate(account)
    identities_of(request).forget(account_id=answer.id)
    return answer


@router.post("/password", status_code=204)
@raises(Conflict, SessionNeeded, TooManyAttempts, WrongPassword)
async def change_password(change: PasswordChange, caller: SignedInCaller, request: Request) -> None:
    """Changes the password, and ends all other sessions and every API key: make new ones for your programs. After a
    one-time password this opens the roles (ROL-13)."""
    identity = who_signed_in(request)
    attempts: Attempts = request.app.state.attempts
    attempts.start(str(identity.account_id), address_of(request))
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id)
    if not await passwords.verify_password(account.password_hash, change.current):
        raise WrongPassword("The current password is wrong.")
    attempts.succeeded(str(identity.account_id), address_of(request))
    if change.new == change.current:
        raise Conflict("The new password must differ from the current one.")
    password_hash = await passwords.hash_password(change.new)
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id, lock=True)
        await accounts.set_password(session, account, password_hash, keep=identity.session_id)
    identities_of(request).forget(account_id=identity.account_id)


@router.post("/invitations/accept")
@raises(InvitationUnknown, SessionNeeded, TooManyAttempts)
async def accept_invitation(given: InvitationCode, caller: SignedInCaller, request: Request) -> OrganisationRef:
    """Joins an organisation with the code that it gave the person (ROL-13)."""
    identity = who_signed_in(request)
    attempts: Attempts = request.app.state.attempts
    attempts.start(f"invitation {identity.account_id}", address_of(request))
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id, lock=True)
        organisation = await accounts.accept_invitation(session, account, given.code)
        answer = OrganisationRef.model_validate(await accounts.find_organisation(session, str(organisation)))
    attempts.succeeded(f"invitation {identity.account_id}", address_of(request))
    identities_of(request).forget(account_id=identity.account_id)
    return answer


async def _signed_in(session: AsyncSession, account: Account, request: Request, response: Response) -> SignedIn:
    lifetime = identities_of(request).lifetime
    client = f"{address_of(request)} {request.headers.get('user-agent', '')}".strip()
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
