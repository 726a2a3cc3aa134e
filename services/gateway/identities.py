"""Exchanges a client's cookie or API key for the internal token, and remembers the token until it is nearly over.

So the hot path neither asks the database nor signs. The price: a revoked session, key or role lives on for up to
`token_seconds` in the other gateways; in this one it ends at once (`forget`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Database
from contracts.accounts import Role
from services.gateway import accounts, metrics, sessions
from services.gateway.errors import NotAMember
from services.gateway.models import Account, Organisation
from services.gateway.sessions import KEY_PREFIX, Holder, Lifetime
from services.gateway.settings import Settings
from services.gateway.tokens import Tokens, claims_of

KEEP = 50_000
REMEMBER_UNKNOWN_SECONDS = 5.0
NETWORKS = 8
"""Networks of one caller whose tokens are remembered: a telephone moves between a few."""


@dataclass(slots=True)
class Identity:
    """A caller that is known: what the services are told, and what the gateway itself needs."""

    account_id: UUID
    session_id: UUID | None
    key_id: UUID | None
    fresh_until: float
    csrf: str | None
    """What `X-CSRF-Token` must be; None for an API key, which no browser sends by itself."""
    claims: dict[str, Any]
    """What the services are told."""
    limited: bool
    """Signed in with a one-time password, which opens nothing but changing it."""
    expires: float
    """When the last token made of these claims must have ended."""
    bearers: OrderedDict[str, str] = field(default_factory=OrderedDict)
    """By the network that the requests come from."""


class Identities:
    """Identities by secret and organisation asked for."""

    def __init__(
        self, db: Database, tokens: Tokens, settings: Settings, clock: Callable[[], float] = monotonic
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._clock = clock
        self.lifetime = Lifetime(
            idle=timedelta(hours=settings.session_idle_hours), absolute=timedelta(days=settings.session_days)
        )
        self.letter_lifetime = timedelta(minutes=settings.letter_minutes)
        self._known: OrderedDict[tuple[str, str], Identity] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._anybody: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[Identity | None]] = {}
        self._forgotten = 0

    def known(self, secret: str, organisation: str) -> Identity | None:
        """What is remembered: a dictionary look-up, nothing else."""
        identity = self._known.get((secret, organisation))
        return identity if identity is not None and identity.fresh_until > self._clock() else None

    async def of(self, secret: str, organisation: str) -> Identity | None:
        """Who has this session token or API key; None if nobody (any more).

        `organisation` (id or slug, may be empty) chooses one of several memberships. Raises `NotAMember`.
        """
        if (identity := self.known(secret, organisation)) is not None:
            return identity
        until = self._unknown.get(secret)
        if until is not None and until > self._clock():
            return None
        task = self._asking.get((secret, organisation))
        if task is None:
            task = asyncio.create_task(self._ask(secret, organisation))
            self._asking[secret, organisation] = task
            task.add_done_callback(lambda _: self._asking.pop((secret, organisation), None))
        # One look-up for a burst of requests; shielded, because one client that goes away must not fail the others.
        return await asyncio.shield(task)

    def bearer(self, identity: Identity | None, network: str) -> str:
        """The `Authorization` header that tells a service who calls, None for anybody, and from which network."""
        now = self._clock()
        if identity is None:
            bearer, fresh_until = self._anybody.get(network, ("", 0.0))
            if fresh_until <= now:
                bearer = f"Bearer {self._tokens.sign({}, network=network)}"
                _remember(self._anybody, network, (bearer, now + self._fresh_seconds()))
            return bearer
        known = identity.bearers.get(network)
        if known is None:
            metrics.TOKENS.labels("signed").inc()
            ttl = max(identity.expires - now, 1.0)
            known = f"Bearer {self._tokens.sign(identity.claims, network=network, ttl_seconds=ttl)}"
            _remember(identity.bearers, network, known, keep=NETWORKS)
        return known

    def forget(self, *, account_id: UUID) -> None:
        """Ends what this process remembers of an account, after its roles, sessions or keys changed."""
        self._forgotten += 1
        for key in [key for key, identity in self._known.items() if identity.account_id == account_id]:
            del self._known[key]

    async def _ask(self, secret: str, organisation: str) -> Identity | None:
        forgotten = self._forgotten
        async with self._db.as_worker() as session:
            if secret.startswith(KEY_PREFIX):
                holder = await sessions.resume_key(session, secret)
            else:
                holder = await sessions.resume_session(session, secret, self.lifetime)
            if holder is None:
                metrics.TOKENS.labels("unknown").inc()
                _remember(self._unknown, secret, self._clock() + REMEMBER_UNKNOWN_SECONDS)
                return None
            account = await accounts.load_account(session, holder.account_id)
            chosen, roles = await _membership(session, account, holder, organisation)
        now = self._clock()
        identity = Identity(
            account_id=account.id,
            session_id=holder.session_id,
            key_id=holder.key_id,
            fresh_until=now + self._fresh_seconds(holder),
            csrf=sessions.csrf_token(secret) if holder.session_id else None,
            claims=claims_of(
                account.id,
                name=account.name,
                email=account.email if account.verified_at is not None else None,
                organisation=chosen,
                roles=roles,
            ),
            limited=account.password_expires_at is not None,
            expires=now + self._tokens.seconds,
        )
        # What was read before a `forget` may be what is to be forgotten: use it once, do not keep it.
        if forgotten == self._forgotten:
            _remember(self._known, (secret, organisation), identity)
        return identity

    def _fresh_seconds(self, holder: Holder | None = None) -> float:
        """A request may take half a minute before a service looks at its token."""
        seconds = self._tokens.seconds - min(45.0, self._tokens.seconds / 3)
        if holder is not None and holder.expires_at is not None:
            seconds = min(seconds, (holder.expires_at - datetime.now(UTC)).total_seconds())
        return seconds


async def _membership(
    session: AsyncSession, account: Account, holder: Holder, asked: str
) -> tuple[UUID | None, frozenset[Role]]:
    """The organisation and roles to act with. Somebody with a one-time password has none until it is changed, and
    somebody with several memberships has none until they choose one."""
    roles = {
        m.organisation: frozenset(Role(role) for role in m.roles)
        for m in account.memberships
        if m.invitation_hash is None
    }
    if account.password_expires_at is not None:
        roles = {}
    if holder.key_id is not None:
        bound = holder.roles or frozenset()
        roles = {id: has & bound for id, has in roles.items() if id == holder.organisation}
    if asked:
        chosen = await _organisation_id(session, asked)
        if chosen not in roles:
            raise NotAMember(f"You have no role in the organisation {asked!r}.")
    else:
        chosen = next(iter(roles)) if len(roles) == 1 else None
    return chosen, roles[chosen] if chosen else frozenset()


async def _organisation_id(session: AsyncSession, asked: str) -> UUID | None:
    try:
        return UUID(asked)
    except ValueError:
        return await session.scalar(select(Organisation.id).where(Organisation.slug == asked))


def _remember(memory: OrderedDict, key: object, value: object, keep: int = KEEP) -> None:  # type: ignore[type-arg]
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > keep:
        memory.popitem(last=False)
