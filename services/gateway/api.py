"""Routes of a person's own account: signing in and out, their data, password and invitations."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.edge import Tx, public
from chassis.patches import changes
from chassis.people import normalise_email
from chassis.problems import Conflict, raises
from contracts.accounts import Role
from services.gateway import accounts, passwords, sessions
from services.gateway.asking import (
    SignedInCaller,
    address_of,
    attempts_of,
    db_of,
    device_of,
    identities_of,
    identity_of,
    network_of,
    settings_of,
    tell_sign_in,
    who_signed_in,
)
from services.gateway.attempts import DEVICE_DAYS
from services.gateway.errors import (
    InvitationUnknown,
    PasswordExpired,
    SessionNeeded,
    TooManyAttempts,
    WeakPassword,
    WrongPassword,
)
from services.gateway.front import cookie_name, device_cookie_name
from services.gateway.models import Account, Organisation
from services.gateway.schemas import (
    InvitationCode,
    Me,
    MembershipOut,
    OrganisationRef,
    OwnAccount,
    PasswordChange,
    PersonChange,
    SignedIn,
    SignIn,
)

router = APIRouter(prefix="/auth", tags=["account"])


@router.post("/sign-in", dependencies=[Depends(public())])
@raises(PasswordExpired, TooManyAttempts, WrongPassword)
async def sign_in(given: SignIn, request: Request, response: Response) -> SignedIn:
    """Starts a session in a cookie. 401 for a wrong e-mail or password, without saying which; 429 after too many."""
    key = normalise_email(given.email)
    attempts = attempts_of(request)
    account = None
    if key is not None:
        async with db_of(request).as_worker() as session:
            account = await accounts.find_account(session, key)
    device = attempts.known_device(device_of(request), account.id if account else None)
    limits = attempts.of_sign_in(key or given.email, network_of(request), device)
    told = partial(tell_sign_in, request, account.id if account else None, by="password")
    try:
        await attempts.start(limits)
    except TooManyAttempts:
        told(outcome="too many")
        raise
    stored = account.password_hash if account else None
    if not await passwords.verify_password(stored, given.password) or account is None or stored is None:
        told(outcome="refused")
        raise WrongPassword("The e-mail address or the password is wrong.")
    if account.password_expires_at is not None and account.password_expires_at < datetime.now(UTC):
        told(outcome="expired")
        raise PasswordExpired("Ask for a new one-time password where you got this one.")
    await attempts.succeeded(limits)
    renewed = await passwords.hash_password(given.password) if passwords.is_outdated(stored) else None
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, account.id, lock=True)
        if account.password_hash != stored:
            raise WrongPassword("The password has just been changed.")
        account.password_hash = renewed or stored
        answer = await signed_in(session, account, request, response)
    told(outcome="ok")
    return answer


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
        account=OwnAccount.model_validate(account),
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
async def change_me(change: PersonChange, caller: SignedInCaller, request: Request) -> OwnAccount:
    """Changes the person's own data. What they once typed into orders stays as it was (CUS-12)."""
    async with db_of(request).for_organisation(None, caller.account_id) as session:
        account = await accounts.load_account(session, identity_of(request).account_id, lock=True)
        await accounts.change_person(session, account, **changes(change, "phone"))
        answer = OwnAccount.model_validate(account)
    identities_of(request).forget(account_id=answer.id)
    return answer


@router.post("/password", status_code=204)
@raises(Conflict, SessionNeeded, TooManyAttempts, WeakPassword, WrongPassword)
async def change_password(change: PasswordChange, caller: SignedInCaller, request: Request) -> None:
    """Changes the password, and ends all other sessions and every API key: make new ones for your programs. After a
    one-time password this opens the roles (ROL-13)."""
    identity = who_signed_in(request)
    attempts = attempts_of(request)
    limits = attempts.of_account("password", identity.account_id)
    await attempts.start(limits)
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id)
    if not await passwords.verify_password(account.password_hash, change.current):
        raise WrongPassword("The current password is wrong.")
    await attempts.succeeded(limits)
    if change.new == change.current:
        raise Conflict("The new password must differ from the current one.")
    await passwords.require_strong(change.new, account.email, account.name)
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
    attempts = attempts_of(request)
    limits = attempts.of_account("invitation", identity.account_id)
    await attempts.start(limits)
    async with db_of(request).as_worker() as session:
        account = await accounts.load_account(session, identity.account_id, lock=True)
        organisation = await accounts.accept_invitation(session, account, given.code)
        answer = OrganisationRef.model_validate(await accounts.find_organisation(session, str(organisation)))
    await attempts.succeeded(limits)
    identities_of(request).forget(account_id=identity.account_id)
    return answer


async def signed_in(session: AsyncSession, account: Account, request: Request, response: Response) -> SignedIn:
    """Starts a session of the browser, which is known to the account from now on."""
    lifetime = identities_of(request).lifetime
    client = f"{address_of(request)} {request.headers.get('user-agent', '')}".strip()
    token = await sessions.start_session(session, account.id, client, lifetime)
    settings = settings_of(request)
    for name, secret, seconds in (
        (cookie_name(settings), token, int(lifetime.absolute.total_seconds())),
        (device_cookie_name(settings), attempts_of(request).device_of(account.id), DEVICE_DAYS * 24 * 3600),
    ):
        response.set_cookie(
            name, secret, max_age=seconds, path="/", secure=settings.secure_cookies, httponly=True, samesite="lax"
        )
    response.headers["Cache-Control"] = "no-store"
    return SignedIn(
        account=OwnAccount.model_validate(account),
        csrf_token=sessions.csrf_token(token),
        password_change_required=account.password_expires_at is not None,
    )
