"""The database of a service: two roles, one transaction per request or batch.

`api` is under row-level security: the first statement of its transaction names the caller's organisation, and
PostgreSQL shows no row of another one. `worker` sees all rows; it is for the relay, consumers, jobs and hot
statements, which name the organisation themselves.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy import BigInteger, DateTime, MetaData, Text, Uuid, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, registry
from sqlalchemy.types import TypeEngine

from chassis import postgres
from chassis.errors import READ_ONLY
from chassis.settings import ServiceSettings
from chassis.tables import attach

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

IDLE_SECONDS = 60
"""A pooled connection that was not used for so long is asked whether it still works."""
RETURNED = "returned"

SET_CALLER = text("""
    SELECT set_config('footlights.organisation', :organisation, true),
           set_config('footlights.account', :account, true)
""")

SEEN: Mapping[str, Any] = {"schema_translate_map": {None: "seen"}}
"""Execution options of a statement that only reads, from views of the caller's rows instead of the tables.

The wall stands as well: a query without its filter returns nothing of others. But behind a policy PostgreSQL may use no
index for what could tell of a hidden row by an error, such as comparing or searching texts; in a view it may.
"""


class Fence(Protocol):
    """Says in a transaction whether one may still do it."""

    async def fence(self, session: AsyncSession) -> None: ...


_fence: ContextVar[Fence | None] = ContextVar("fence", default=None)


@contextmanager
def fenced_by(fence: Fence) -> Iterator[None]:
    """Every transaction `as_worker` in this context asks the fence first."""
    token = _fence.set(fence)
    try:
        yield
    finally:
        _fence.reset(token)


class ServiceBase(DeclarativeBase):
    """Base of a service's mapped classes: `class Base(ServiceBase): metadata = service_metadata()`."""

    __abstract__ = True

    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any]]] = {
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        str: Text(),
        int: BigInteger(),
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if ServiceBase in cls.__bases__:
            # A base of its own per service: two services in one process may both have a class `Order`.
            cls.__abstract__ = True
            cls.registry = registry(metadata=cls.metadata, type_annotation_map=cls.type_annotation_map)
            cls._sa_registry = cls.registry
        super().__init_subclass__(**kwargs)


def service_metadata() -> MetaData:
    """Metadata with the house's constraint names and the tables of outbox, inbox and idempotency keys."""
    metadata = MetaData(naming_convention=NAMING)
    attach(metadata)
    return metadata


class Database:
    """Engines and sessions of one service. Nothing connects before the first use."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._urls = {"api": settings.database_api_url, "worker": settings.database_worker_url}
        self.api = _engine(settings.database_api_url, settings, "api")
        self.worker = _engine(settings.database_worker_url, settings, "worker")
        self.nudge: Callable[[], None] = _nobody
        """Wakes the relay; the relay sets it."""
        info = {"outbox_nudge": lambda: self.nudge()}
        self._api_sessions = async_sessionmaker(self.api, expire_on_commit=False, info=info)
        self._worker_sessions = async_sessionmaker(self.worker, expire_on_commit=False, info=info)

    @asynccontextmanager
    async def for_organisation(
        self, organisation: UUID | None, account: UUID | None = None
    ) -> AsyncIterator[AsyncSession]:
        """A transaction that sees the rows of one organisation, and of one buyer's account where a table allows it."""
        async with self._api_sessions() as session, session.begin():
            await session.execute(SET_CALLER, {"organisation": str(organisation or ""), "account": str(account or "")})
            yield session

    @asynccontextmanager
    async def as_worker(self) -> AsyncIterator[AsyncSession]:
        """A transaction of the worker role, which sees every organisation."""
        fence = _fence.get()
        async with self._worker_sessions() as session, session.begin():
            if fence is not None:
                await fence.fence(session)
            yield session

    async def pin(self, role: Literal["api", "worker"] = "worker") -> asyncpg.Connection[asyncpg.Record]:
        """A raw connection of one's own, outside the pool: for hot statements and session locks."""
        return await postgres.connect(self._urls[role])

    async def close(self) -> None:
        await self.api.dispose()
        await self.worker.dispose()


def _nobody() -> None:
    """Nothing to wake: this process runs no relay."""


def _engine(url: str, settings: ServiceSettings, role: str) -> AsyncEngine:
    engine = postgres.engine(
        url,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_size,
        pool_timeout=10,
        # Whatever fails is logged, and what is bound to a statement may be anybody's name or password hash.
        hide_parameters=True,
        connecting={
            "command_timeout": 30,
            "server_settings": {
                "application_name": f"{settings.service}-{role}",
                "lock_timeout": "10s",
                "statement_timeout": "30s",
                "idle_in_transaction_session_timeout": "60s",
            },
        },
    )
    event.listen(engine.sync_engine, "handle_error", _failed)
    event.listen(engine.sync_engine.pool, "checkin", _returned)
    event.listen(engine.sync_engine.pool, "checkout", _taken)
    return engine


def _failed(context: Any) -> None:
    """A server that takes no changes is left by all connections: a new one may find the new primary."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = context.invalidate_pool_on_disconnect = True


def _returned(_: Any, record: Any) -> None:
    record.info[RETURNED] = time.monotonic()


def _taken(connection: Any, record: Any, _: Any) -> None:
    """Gives out no dead connection: the pool replaces one that this refuses.

    asyncpg knows when the server has closed it, so only a long idle one is asked, which a firewall may have forgotten.
    A ping every time, as the pool would do it, costs three round trips of the seven that a short read needs.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server has closed the connection")
    if time.monotonic() - record.info.get(RETURNED, math.inf) > IDLE_SECONDS:
        try:
            connection.ping()
        except Exception as error:
            raise DisconnectionError("the connection was lost while it was idle") from error
