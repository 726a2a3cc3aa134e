"""What tests share: real servers of their own, tokens, an application served over HTTP, and waiting for an effect."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload
from uuid import UUID, uuid4

import asyncpg
import jwt
import psutil
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chassis.clients import Clients
from chassis.http import HttpProtocol
from chassis.keys import private_key
from deploy.platform.databases import DatabaseUrls, create_service_database, drop_database
from deploy.platform.kafka import KafkaCluster
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import free_ports

ROOT = Path(__file__).parent.parent
JARS = ROOT / ".footlights" / "kafka-jars"

P = ParamSpec("P")
T = TypeVar("T")


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended; one that its parent (of an orphan: init) has yet to collect has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@overload
async def eventually(check: Callable[[], Awaitable[T]], timeout: float = 20, interval: float = 0.05) -> T: ...
@overload
async def eventually(check: Callable[[], T], timeout: float = 20, interval: float = 0.05) -> T: ...
async def eventually(check: Callable[[], Any], timeout: float = 20, interval: float = 0.05) -> Any:
    """The first true answer of `check` (plain or async), asked again and again for up to `timeout` seconds.

    An assertion that fails inside `check` counts as "not yet"; the last one is raised when the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        failure: AssertionError | None = None
        answer: Any = None
        try:
            answer = check()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise failure or AssertionError(f"not within {timeout} s; the last answer was {answer!r}")
        await asyncio.sleep(interval)


def beside(work: Callable[P, T], seen: list[bool]) -> Callable[P, T]:
    """`work` that notes at each call whether the event loop goes on meanwhile: it does if a thread does the work."""
    loop = asyncio.get_running_loop()

    def watched(*arguments: P.args, **named: P.kwargs) -> T:
        served = threading.Event()
        loop.call_soon_threadsafe(served.set)
        seen.append(served.wait(10))
        return work(*arguments, **named)

    return watched


@contextlib.asynccontextmanager
async def serve(app: Any, port: int = 0, *, clients: Clients | None = None) -> AsyncIterator[str]:
    """Serve an ASGI application with a real uvicorn on a free port of this event loop; gives its base URL. `clients`
    has the limits of its clients, the application's own by default."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    clients = clients or getattr(getattr(app, "state", None), "clients", None) or Clients()
    config = uvicorn.Config(
        app,
        http=partial(HttpProtocol, clients=clients),
        log_config=None,
        lifespan="on",
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the application did not start")
            await asyncio.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


class Given:
    """Servers that run already, and that nobody here stops: in the place of a `PostgresServer` or a `KafkaCluster`."""

    def __init__(self, address: str) -> None:
        self.bootstrap_servers = address

    def url(self, database: str = "postgres") -> str:
        return f"{self.bootstrap_servers}/{database}"


class Postgres:
    """A PostgreSQL server of the tests, with throw-away databases."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._templates: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        """The superuser's URL."""
        return self.server.url(database)

    async def create_database(self, service: str, *, migrate: bool = True) -> DatabaseUrls:
        """A fresh database of the service, at its newest version when the service has migrations."""
        name = f"footlights_{service}_{next(self._numbers)}_{uuid4().hex[:6]}"
        template = await self._template(service) if migrate and has_migrations(service) else None
        return await create_service_database(self.url(), service, database=name, template=template)

    async def drop_database(self, urls: DatabaseUrls) -> None:
        await drop_database(self.url(), urls.owner.rpartition("/")[2])

    async def _template(self, service: str) -> str:
        async with self._lock:
            if service not in self._templates:
                name = f"template_{service}_{_migrations(service)}"
                await self._make_template(service, name)
                self._templates[service] = name
            return self._templates[service]

    async def _make_template(self, service: str, name: str) -> None:
        """A server that outlives a run may have it; it gets its name when it is whole."""
        connection = await asyncpg.connect(self.url())
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                made = f"{name}_{uuid4().hex[:6]}"
                await migrate_database(service, await create_service_database(self.url(), service, database=made))
                await connection.execute(f'ALTER DATABASE "{made}" RENAME TO "{name}"')
        finally:
            await connection.close()

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.kill()

    def restart(self) -> None:
        self.server.restart()


class Kafka:
    """A Kafka of the tests, with the topics of the contracts."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster

    @property
    def bootstrap_servers(self) -> str:
        return self.cluster.bootstrap_servers

    def start(self) -> None:
        self.cluster.start()

    def stop(self) -> None:
        self.cluster.stop()

    def kill(self, node: int | None = None) -> None:
        self.cluster.kill(node)

    def restart(self) -> None:
        self.cluster.restart()


def has_migrations(service: str) -> bool:
    return any((ROOT / "services" / service / "migrations" / "versions").glob("*.py"))


def _migrations(service: str) -> str:
    """Names what the migrations of a service make."""
    files = sorted((ROOT / "services" / service / "migrations" / "versions").glob("*.py"))
    content = b"".join(file.read_bytes() for file in (*files, ROOT / "chassis" / "migrations.py"))
    return hashlib.sha256(content).hexdigest()[:8]


async def migrate_database(service: str, urls: DatabaseUrls) -> None:
    """Bring a database to the newest version, in a process of its own as a deployment does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chassis.migrate", service),
        cwd=ROOT,
        env={**os.environ, **urls.environment()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"migrations of {service} failed:\n{output.decode(errors='replace')}")


@contextlib.contextmanager
def postgres_server(folder: Path, **settings: str):
    """A PostgreSQL of one's own in `folder`."""
    (port,) = free_ports(1)
    server = PostgresServer(folder / "postgres", port, log=folder / "postgres.log", settings=settings)
    try:
        server.start()
        yield Postgres(server)
    finally:
        server.stop(grace=3)


@contextlib.contextmanager
def kafka_cluster(folder: Path, brokers: int = 1, *, light: bool = False, **options: Any):
    """A Kafka of one's own in `folder`, without topics; `light` where throughput is not measured."""
    ports = free_ports(2 * brokers)
    cluster = KafkaCluster(
        folder / "kafka",
        ports[:brokers],
        ports[brokers:],
        jars=JARS,
        log=folder / "kafka.log",
        light=light,
        **options,
    )
    try:
        cluster.start()
        yield Kafka(cluster)
    finally:
        cluster.stop(grace=3)


def public_pem(private_pem: str) -> str:
    """The public half of a signing key, as settings hold it."""
    key = private_key(private_pem).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


class TokenMint:
    """Signs tokens as the gateway does, for tests of a single service.

    Give a service under test `AUTH_JWKS=tokens.jwks`.
    """

    issuer = "footlights-gateway"
    audience = "footlights"

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._kid = uuid4().hex[:8]

    @property
    def pem(self) -> str:
        """The private key, for a gateway under test."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    @property
    def jwks(self) -> str:
        """The public keys as inline JSON."""
        key = jwt.algorithms.OKPAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**key, "kid": self._kid, "alg": "EdDSA", "use": "sig"}]})

    def staff(
        self,
        organisation: UUID,
        *roles: Any,
        account: UUID | None = None,
        email: str = "staff@example.com",
        name: str = "Olena Staff",
        ttl: timedelta = timedelta(minutes=5),
    ) -> str:
        """A token of a member of staff in an organisation."""
        return self.sign(
            {
                "sub": str(account or uuid4()),
                "name": name,
                "email": email,
                "org": str(organisation),
                "roles": [str(getattr(role, "value", role)) for role in roles],
            },
            ttl,
        )

    def buyer(
        self,
        account: UUID | None = None,
        *,
        email: str = "buyer@example.com",
        name: str = "Taras Buyer",
        ttl: timedelta = timedelta(minutes=5),
    ) -> str:
        """A token of a signed-in buyer, who belongs to no organisation."""
        return self.sign({"sub": str(account or uuid4()), "name": name, "email": email, "org": None, "roles": []}, ttl)

    def sign(self, claims: dict[str, Any], ttl: timedelta = timedelta(minutes=5)) -> str:
        now = int(time.time())
        standard = {"iss": self.issuer, "aud": self.audience, "iat": now, "exp": now + int(ttl.total_seconds())}
        return jwt.encode(standard | claims, self._key, algorithm="EdDSA", headers={"kid": self._kid})

    def headers(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}
