"""Routes of what opens a person's account: browsers that are signed in, and API keys of programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from fastapi import APIRouter, Request

from chassis.edge import Tx
from chassis.problems import Conflict, NotFound, raises
from services.gateway import accounts, sessions
from services.gateway.asking import SignedInCaller, db_of, identities_of, identity_of, who_signed_in
from services.gateway.errors import RolesRefused, SessionNeeded
from services.gateway.schemas import KeyList, KeyOut, NewKey, NewKeyOut, SessionList, SessionOut

MOST_KEYS = 50

router = APIRouter(prefix="/auth", tags=["account"])


@router.get("/sessions")
async def list_sessions(caller: SignedInCaller, request: Request, session: Tx) -> SessionList:
    """Browsers that are signed in to the account, the one used last first."""
    identity = identity_of(request)
    items = [SessionOut.model_validate(one) for one in await sessions.list_sessions(session, identity.account_id)]
    for item in items:
        item.current = item.id == identity.session_id
    return SessionList(items=items)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(session_id: UUID, caller: SignedInCaller, request: Request) -> None:
    """Signs out another browser."""
    identity = identity_of(request)
    async with db_of(request).as_worker() as session:
        if not await sessions.end_session(session, identity.account_id, session_id):
            raise NotFound("You have no such session.")
    identities_of(request).forget(account_id=identity.account_id)


@router.post("/api-keys", status_code=201)
@raises(Conflict, RolesRefused, SessionNeeded)
async def create_key(new: NewKey, caller: SignedInCaller, request: Request) -> NewKeyOut:
    """Makes a key for a program. The key is answered once and never again."""
    identity = who_signed_in(request)
    roles = caller.roles if new.roles is None else frozenset(new.roles)
    if not roles <= caller.roles:
        raise RolesRefused("A key can have only roles that you have in the organisation.")
    async with db_of(request).as_worker() as session:
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
    keys = await sessions.list_keys(session, identity_of(request).account_id)
    return KeyList(items=[KeyOut.model_validate(key) for key in keys])


@router.delete("/api-keys/{key_id}", status_code=204)
async def revoke_key(key_id: UUID, caller: SignedInCaller, request: Request) -> None:
    """The key opens nothing from now on."""
    identity = identity_of(request)
    async with db_of(request).as_worker() as session:
        if not await sessions.revoke_key(session, identity.account_id, key_id):
            raise NotFound("You have no such key.")
    identities_of(request).forget(account_id=identity.account_id)
