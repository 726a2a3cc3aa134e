"""One address tells everybody: verified TLS, several hosts, and which of them takes writes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text

from chassis import postgres as connections
from chassis.db import Database
from deploy.platform.databases import DatabaseUrls, create_service_database
from deploy.platform.processes import free_ports
from tests.authority import Authority
from tests.chassis.probe import settings_for
from tests.harness import Postgres, migrate_database, postgres_server

PORT = "SELECT inet_server_port()"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Front:
    """TLS before a PostgreSQL, in its own protocol: the server of the wheel is built without. Plain text is refused."""

    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._port = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self.encrypted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            if await reader.readexactly(len(SSL_REQUEST)) != SSL_REQUEST:
                return
            writer.write(b"S")
            await writer.start_tls(self._context)
            self.encrypted += 1
            upstream, downstream = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.closing(downstream):
                await asyncio.wait(
                    [asyncio.create_task(_pass(reader, downstream)), asyncio.create_task(_pass(upstream, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()


@dataclass(frozen=True)
class Secured:
    """A server with a certificate for 127.0.0.1, not for localhost."""

    port: int
    authority: Authority
    front: Front

    def verified(self, url: str, *, host: str = "127.0.0.1", authority: Authority | None = None) -> str:
        address = re.sub(r"@127.0.0.1:\d+", f"@{host}:{self.port}", url)
        return f"{address}?sslmode=verify-full&sslrootcert={(authority or self.authority).file}"


@pytest.fixture
async def secured(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Secured]:
    authority = Authority(tmp_path)
    front = Front(postgres.server.port, *authority.server("postgres", "127.0.0.1"))
    async with await asyncio.start_server(front.serve, "127.0.0.1", 0) as server:
        yield Secured(server.sockets[0].getsockname()[1], authority, front)
        server.close()


async def test_everybody_verifies_the_server(secured: Secured, postgres: Postgres):
    """The two pools, pinned connections and migrations, each by the address alone."""
    plain = await postgres.create_database("crm", migrate=False)
    urls = DatabaseUrls(*(secured.verified(url) for url in (plain.owner, plain.api, plain.worker)))
    await migrate_database("crm", urls)
    migrated = secured.front.encrypted
    assert migrated
    db = Database(settings_for(urls))
    async with db.as_worker() as session, db.for_organisation(uuid4()) as other:
        assert await session.scalar(text("SELECT count(*) FROM outbox")) == 0
        assert await other.scalar(text("SELECT current_user")) == "crm_api"
    async with closing_later(await db.pin()) as connection:
        assert await connection.fetchval("SELECT current_user") == "crm_worker"
    await db.close()
    assert secured.front.encrypted == migrated + 3


@pytest.mark.parametrize("wrong", ["name", "authority"])
async def test_another_name_or_another_authority_is_refused(
    secured: Secured, postgres: Postgres, own_folder: Path, wrong: str
):
    given = {"host": "localhost"} if wrong == "name" else {"authority": Authority(own_folder)}
    url = secured.verified(postgres.url(), **given)
    with pytest.raises(ssl.SSLCertVerificationError):
        await connections.connect(url)
    db = Database(settings_for(DatabaseUrls(url, url, url)))
    with pytest.raises(ssl.SSLCertVerificationError):
        async with db.as_worker() as session:
            await session.scalar(text("SELECT 1"))
    await db.close()
    assert secured.front.encrypted == 0


@dataclass(frozen=True)
class Two:
    """The same database on two servers; the first takes no writes."""

    reading: int
    writing: int
    url: str

    def of(self, *ports: int) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"{self.url.replace('HOSTS', hosts)}?target_session_attrs=read-write"


@pytest.fixture(scope="module")
def standby(server_folder: Path) -> Iterator[Postgres]:
    folder = server_folder / "standby"
    folder.mkdir(mode=0o755)
    with postgres_server(folder) as server:
        yield server


@asynccontextmanager
async def closing_later(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def two(standby: Postgres, postgres: Postgres) -> Two:
    name = f"footlights_two_{uuid4().hex[:6]}"
    for server in (standby, postgres):
        urls = await create_service_database(server.url(), "probe", database=name)
    superuser = await asyncpg.connect(standby.url())
    await superuser.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await superuser.close()
    reading, writing = standby.server.port, postgres.server.port
    return Two(reading, writing, urls.worker.replace(f"127.0.0.1:{writing}", "HOSTS"))


async def test_the_host_that_takes_writes_is_found(two: Two):
    (nobody,) = free_ports(1)
    for ports in ((two.reading, two.writing), (two.writing, two.reading), (nobody, two.writing)):
        url = two.of(*ports)
        db = Database(settings_for(DatabaseUrls(url, url, url)))
        async with db.as_worker() as session:
            assert await session.scalar(text(PORT)) == two.writing
        async with closing_later(await db.pin()) as connection:
            assert await connection.fetchval(PORT) == two.writing
        await db.close()


async def test_where_no_host_takes_writes_that_is_said(two: Two):
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched, match="read_write"):
        await connections.connect(two.of(two.reading, two.reading))


async def test_a_silent_host_leaves_time_for_the_next(two: Two):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        async with closing_later(await connections.connect(two.of(port, two.writing), timeout=2)) as connection:
            assert await connection.fetchval(PORT) == two.writing
        with pytest.raises(TimeoutError):
            await connections.connect(two.of(two.reading, port), timeout=2)


async def test_a_refused_password_is_not_tried_elsewhere(two: Two):
    url = two.of(two.writing, two.reading).replace("development-only-probe-worker", "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connections.connect(url)
