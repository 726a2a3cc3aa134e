"""How long a secret opens the door, and that what was taken back is not remembered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chassis.db import Database
from services.gateway.sessions import Lifetime, resume_session, start_session
from tests.contention import done_or_waiting

LIFETIME = Lifetime(idle=timedelta(hours=1), absolute=timedelta(days=1))
BORN = text("UPDATE sign_in_session SET created_at = now() - CAST(:ago AS interval) WHERE account_id = :account")


@pytest.fixture
async def db(gateway) -> Database:
    found: Database = gateway.app.state.db
    return found


async def signed_in(gateway, lifetime: Lifetime = LIFETIME) -> tuple[UUID, str]:
    account = await gateway.account(f"{uuid4().hex}@example.com")
    async with gateway.app.state.db.as_worker() as session:
        return account.id, await start_session(session, account.id, "a browser", lifetime)


async def born(db: Database, account: UUID, ago: timedelta) -> None:
    async with db.as_worker() as session:
        await session.execute(BORN, {"ago": ago, "account": account})


async def left(db: Database, account: UUID, token: str, lifetime: Lifetime = LIFETIME) -> timedelta | None:
    """How much longer the session lives after it was used just now."""
    async with db.as_worker() as session:
        holder = await resume_session(session, token, lifetime)
        if holder is None or holder.expires_at is None:
            return None
        assert holder.account_id == account
        now = await session.scalar(text("SELECT now()"))
        return holder.expires_at - now


async def test_a_session_lives_from_use_to_use_but_not_for_ever(gateway, db):
    account, token = await signed_in(gateway)
    minute = timedelta(minutes=1)
    for hours, expected in ((0, LIFETIME.idle), (22, LIFETIME.idle), (23.5, LIFETIME.idle / 2)):
        await born(db, account, timedelta(hours=hours))
        lives = await left(db, account, token)
        assert lives is not None
        assert expected - minute < lives <= expected + minute
    await born(db, account, timedelta(hours=25))
    lives = await left(db, account, token)
    assert lives is not None
    assert lives <= timedelta(0)
    assert await left(db, account, token) is None, "from then on it is over"


async def test_the_shorter_of_both_times_counts_from_the_beginning(gateway, db):
    short = Lifetime(idle=timedelta(days=2), absolute=timedelta(hours=1))
    account, token = await signed_in(gateway, short)
    lives = await left(db, account, token, short)
    assert lives is not None
    assert lives <= short.absolute


async def test_what_is_forgotten_while_it_is_looked_up_is_not_remembered(gateway, db):
    """A role may have been taken away behind the look-up's back: it is used once and not kept."""
    account, token = await signed_in(gateway)
    identities = gateway.app.state.identities
    async with db.as_worker() as session:
        await session.execute(text("SELECT 1 FROM sign_in_session WHERE account_id = :id FOR UPDATE"), {"id": account})
        asking = asyncio.create_task(identities.of(token, ""))
        await done_or_waiting(db, asking)
        identities.forget(account_id=account)
    identity = await asking
    assert identity is not None
    assert identities.known(token, "") is None
    assert await identities.of(token, "") is not identity
    assert identities.known(token, "") is not None, "otherwise it is"
