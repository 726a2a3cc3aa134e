"""Signed-in browsers and API keys of programs: who is behind a secret, and for how long."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.accounts import Role
from services.gateway.accounts import digest
from services.gateway.models import ApiKey, SignInSession

KEY_PREFIX = "flk_"


@dataclass(frozen=True, slots=True)
class Lifetime:
    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a secret belongs to. For an API key, `organisation` and `roles` bound what it may do."""

    account_id: UUID
    session_id: UUID | None = None
    key_id: UUID | None = None
    organisation: UUID | None = None
    roles: frozenset[Role] | None = None
    expires_at: datetime | None = None


def csrf_token(session_token: str) -> str:
    """The header that a page must send with unsafe requests: known only to who was told it at sign-in. It is derived
    from the session's secret, so that checking it costs no look-up."""
    mac = hmac.digest(session_token.encode(), b"footlights csrf", sha256)
    return urlsafe_b64encode(mac).rstrip(b"=").decode()


async def start_session(session: AsyncSession, account_id: UUID, client: str, lifetime: Lifetime) -> str:
    """Returns the secret for the cookie; only its hash is stored."""
    token = token_urlsafe(32)
    session.add(
        SignInSession(
            token_hash=digest(token),
            account_id=account_id,
            client=client[:200],
            expires_at=datetime.now(UTC) + min(lifetime.idle, lifetime.absolute),
        )
    )
    await session.flush()
    return token


async def resume_session(session: AsyncSession, token: str, lifetime: Lifetime) -> Holder | None:
    """Who is signed in with this cookie, and the session lives on from now. None if it has ended."""
    now = datetime.now(UTC)
    found = await session.scalar(
        select(SignInSession)
        .where(SignInSession.token_hash == digest(token), SignInSession.expires_at > now)
        .with_for_update()
    )
    if found is None:
        return None
    found.used_at = now
    found.expires_at = min(now + lifetime.idle, found.created_at + lifetime.absolute)
    return Holder(account_id=found.account_id, session_id=found.id, expires_at=found.expires_at)


async def list_sessions(session: AsyncSession, account_id: UUID) -> list[SignInSession]:
    query = select(SignInSession).where(
        SignInSession.account_id == account_id, SignInSession.expires_at > datetime.now(UTC)
    )
    return list(await session.scalars(query.order_by(SignInSession.used_at.desc())))


async def end_session(session: AsyncSession, account_id: UUID, session_id: UUID) -> bool:
    """False if the account has no such session."""
    ended = await session.scalar(
        delete(SignInSession)
        .where(SignInSession.id == session_id, SignInSession.account_id == account_id)
        .returning(SignInSession.id)
    )
    return ended is not None


async def create_key(
    session: AsyncSession,
    account_id: UUID,
    *,
    name: str,
    organisation: UUID | None,
    roles: Iterable[Role],
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """A key for a program, and its secret, which nobody can read again. The caller has checked the roles."""
    secret = KEY_PREFIX + token_urlsafe(32)
    key = ApiKey(
        key_hash=digest(secret),
        hint=secret[: len(KEY_PREFIX) + 4],
        name=name,
        account_id=account_id,
        organisation=organisation,
        roles=sorted(role.value for role in roles),
        expires_at=expires_at,
    )
    session.add(key)
    await session.flush()
    await session.refresh(key)
    return key, secret


async def resume_key(session: AsyncSession, secret: str) -> Holder | None:
    """Whose key this is; notes when it was used last. None if it is unknown or has ended."""
    now = datetime.now(UTC)
    found = await session.scalar(
        update(ApiKey)
        .where(ApiKey.key_hash == digest(secret), (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > now))
        .values(used_at=now)
        .returning(ApiKey)
    )
    if found is None:
        return None
    return Holder(
        account_id=found.account_id,
        key_id=found.id,
        organisation=found.organisation,
        roles=frozenset(Role(role) for role in found.roles),
        expires_at=found.expires_at,
    )


async def list_keys(session: AsyncSession, account_id: UUID) -> list[ApiKey]:
    query = select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.created_at.desc())
    return list(await session.scalars(query))


async def revoke_key(session: AsyncSession, account_id: UUID, key_id: UUID) -> bool:
    """False if the account has no such key."""
    revoked = await session.scalar(
        delete(ApiKey).where(ApiKey.id == key_id, ApiKey.account_id == account_id).returning(ApiKey.id)
    )
    return revoked is not None
