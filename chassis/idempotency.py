"""A repeated POST with the same `Idempotency-Key` gets the first answer; with another body it is refused (422).

The key is recorded in the transaction of the effect: there is no effect without a recorded answer. A repetition that
arrives while the first is running waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Depends, Header
from fastapi.encoders import jsonable_encoder
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from chassis.edge import caller_of
from chassis.problems import Invalid

CLAIM = text("""
    INSERT INTO idempotency_key (scope, key, request_hash) VALUES (:scope, :key, :hash)
    ON CONFLICT DO NOTHING RETURNING key
""")
FIND = text("SELECT request_hash, status, headers, body FROM idempotency_key WHERE scope = :scope AND key = :key")
FINISHED = text("SELECT true FROM idempotency_key WHERE scope = :scope AND key = :key AND status IS NOT NULL")
KEEP = text("""
    UPDATE idempotency_key SET status = :status, headers = CAST(:headers AS json), body = :body
    WHERE scope = :scope AND key = :key
""")


class Idempotency:
    """One request's key, if it has one."""

    def __init__(self, key: str | None, scope: str, request_hash: bytes) -> None:
        self.key = key
        self._scope = scope
        self._hash = request_hash

    def within(self, organisation: UUID, thing: UUID) -> Idempotency:
        """The same key for one thing of an organisation, in whose name the transaction runs, whoever asks."""
        return Idempotency(self.key, f"{organisation}:{thing}:{self._scope}", self._hash)

    async def run(
        self,
        session: AsyncSession,
        status: int,
        command: Callable[[], Awaitable[Any]],
        headers: dict[str, str] | None = None,
    ) -> Response:
        """The answer of `command`, or the one it gave the first time. Without a key the command simply runs.

        `headers` are read after the command, which may add to them.
        """
        if self.key is not None and not await self._claim(session):
            return await self._replay(session)
        body = orjson.dumps(jsonable_encoder(await command()))
        if self.key is not None:
            kept = {"status": status, "headers": orjson.dumps(headers or {}).decode(), "body": body}
            await session.execute(KEEP, {"scope": self._scope, "key": self.key, **kept})
        return Response(body, status, headers=headers, media_type="application/json")

    async def answered(self, session: AsyncSession) -> Response | None:
        """The answer that was given before, for commands that do something outside of the transaction first."""
        if self.key is None:
            return None
        known = await session.scalar(FINISHED, {"scope": self._scope, "key": self.key})
        return await self._replay(session) if known else None

    async def _claim(self, session: AsyncSession) -> bool:
        claim = {"scope": self._scope, "key": self.key, "hash": self._hash}
        return await session.scalar(CLAIM, claim) is not None

    async def _replay(self, session: AsyncSession) -> Response:
        row = (await session.execute(FIND, {"scope": self._scope, "key": self.key})).one()
        if bytes(row.request_hash) != self._hash:
            raise Invalid("This Idempotency-Key was used for another request. Use a new key for a new request.")
        headers = {**(row.headers or {}), "Idempotency-Replay": "true"}
        return Response(bytes(row.body), row.status, headers=headers, media_type="application/json")


async def _idempotency(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="Repeat a request safely")
    ] = None,
) -> Idempotency:
    caller = await caller_of(request.scope)
    owner = caller.organisation or caller.account_id or "public"
    content = b"\0".join((request.method.encode(), request.url.path.encode(), await request.body()))
    return Idempotency(idempotency_key, f"{owner}:{request.scope['route'].path}", hashlib.sha256(content).digest())


Once = Annotated[Idempotency, Depends(_idempotency)]
