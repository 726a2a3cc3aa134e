"""Connections to PostgreSQL: the only place that makes them, so that one address means the same to everybody.

An address is what libpq understands: `postgresql://user:password@one,two:5433/database?target_session_attrs=read-write
&sslmode=verify-full&sslrootcert=/run/secrets/ca.pem`. Several hosts are tried in their order.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

CONNECT_SECONDS = 10.0

ELSEWHERE = (OSError, asyncpg.TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError)
"""What another host may do better. A refused password it would refuse, too."""


# A host that vanished without a word is noticed by whoever has sent it something and by whoever waits for it, on both
# sides. TCP's own patience is 15 minutes for the one and two hours for the other.
VANISHED = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 2,
    socket.TCP_USER_TIMEOUT: 15_000,
}
VANISHED_CLIENT = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    # Longer, because a client that reads an export slowly is not gone.
    "tcp_user_timeout": "60s",
}


async def connect(url: str, *, timeout: float = CONNECT_SECONDS, **options: Any) -> asyncpg.Connection[asyncpg.Record]:
    """A connection of one's own; `options` are asyncpg's.

    Each host has its share of the `timeout` seconds: a silent one must not use up the time of the next. Raises what
    the last host answered. The connection fails within half a minute when the server's host is gone.
    """
    hosts = _each_host(url)
    options["server_settings"] = VANISHED_CLIENT | options.get("server_settings", {})
    for left in range(len(hosts) - 1, -1, -1):
        try:
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                hosts[-1 - left], timeout=timeout / len(hosts), **options
            )
            _notice_vanishing(connection)
            return connection
        except ELSEWHERE:
            if not left:
                raise
    raise AssertionError("an address has at least one host")


def _notice_vanishing(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    sock = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
    if sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in VANISHED.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


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
