"""Connections to PostgreSQL: the only place that makes them, so that one address means the same to everybody.

An address is what libpq understands: `postgresql://user:password@one,two:5433/database?target_session_attrs=read-write
&sslmode=verify-full&sslrootcert=/run/secrets/ca.pem`. Several hosts are tried in their order.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 10.0

ELSEWHERE = (OSError, asyncpg.TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError)
"""What another host may do better. A refused password it would refuse, too."""


async def connect(url: str, *, timeout: float = CONNECT_SECONDS, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of one's own; `options` are asyncpg's.

    Each host has its share of the `timeout` seconds: a silent one must not use up the time of the next. Raises what
    the last host answered.
    """
    hosts = _each_host(url)
    for left in range(len(hosts) - 1, -1, -1):
        try:
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                hosts[-1 - left], timeout=timeout / len(hosts), **options
            )
            return connection
        except ELSEWHERE:
            if not left:
                raise
    raise AssertionError("an address has at least one host")


def engine(url: str, *, connecting: dict[str, Any] | None = None, **options: Any) -> AsyncEngine:
    """SQLAlchemy on connections made by `connect`, which gets `connecting`; `options` are SQLAlchemy's."""

    async def create() -> asyncpg.Connection[asyncpg.Record]:
        return await connect(url, **(connecting or {}))

    return create_async_engine("postgresql+asyncpg://", async_creator=create, **options)


def _each_host(url: str) -> list[str]:
    """The address once for each of its hosts."""
    parts = urlsplit(url)
    if "," not in parts.netloc:
        return [url]
    credentials, at, hosts = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{credentials}{at}{host}")) for host in hosts.split(",")]
