"""Starts, watches, kills and stops everything that makes up a running Footlights. See `Platform`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp

from chassis.keys import Signer
from deploy.platform import parts, topics
from deploy.platform.databases import DatabaseUrls, adopt_database, create_service_database
from deploy.platform.home import ROOT, Home, jars_folder
from deploy.platform.kafka import MOCK_WARNING, JarsUnavailable, KafkaCluster, ensure_jars, has_jars
from deploy.platform.parts import Existing
from deploy.platform.ports import SERVICES, Ports
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import Child, StartFailed, answers, base_environment, port_owner, tail

READY_SECONDS = 90.0
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 60.0

_Server = TypeVar("_Server", PostgresServer, KafkaCluster)

Report = Callable[[str, str], None]
"""Called with a part and what it does now: "starting", "ready", "stopped", "ended with code 1, starting again"."""


class Platform:
    """A whole Footlights on this machine: PostgreSQL, Kafka, six services, the card provider and the mail catcher.

        async with Platform(folder) as platform:                    # throw-away, on free ports
            await client.get(platform.urls["gateway"] + "/shows")
            await platform.kill("orders")                           # SIGKILL, as a crash
            await platform.start("orders")                          # returns when it is ready again
            await platform.restart_kafka()

    Entering starts all parts and returns when every one is ready; leaving stops them within 10 s, whatever happened.
    A failure to start raises `StartFailed` with the part, its log and a remedy, after everything else was stopped.
    Use it from the main thread: children end with the thread that started them.

    home: folder of data, logs, secrets (kept; the caller removes a throw-away one).
    ports: `Ports.counted_from(8000)`, or free ones when not given.
    brokers: 1 or 3 (replication 3, two in-sync replicas).
    env: settings for every service; service_env: settings by service, which win.
    services: the ones to start; the others can be started later by name.
    restart_crashed: start a part again that ends by itself (after a pause that grows up to 30 s).
    existing: servers to use instead of embedded ones.
    allow_mock: fall back to an in-memory Kafka when real Kafka cannot be had.
    report: told of each step.

    Parts are named by service, and "postgres", "kafka", "sandbox", "mail".
    """

    def __init__(
        self,
        home: Path,
        ports: Ports | None = None,
        *,
        brokers: int = 1,
        env: Mapping[str, str] | None = None,
        service_env: Mapping[str, Mapping[str, str]] | None = None,
        services: Sequence[str] = SERVICES,
        restart_crashed: bool = False,
        existing: Existing | None = None,
        allow_mock: bool = False,
        report: Report | None = None,
    ) -> None:
        self.home = Home(home)
        self.ports = ports or Ports.free(brokers)
        if len(self.ports.kafka) != brokers:
            raise ValueError(f"ports for {len(self.ports.kafka)} brokers were given, {brokers} are wanted")
        self.urls = parts.urls(self.ports)
        """Base address of each service, of "sandbox" and of "mail"."""
        self.env = dict(env or {})
        """Settings for every service; changes count from a part's next start."""
        self.service_env = {name: dict(values) for name, values in (service_env or {}).items()}
        self.services = tuple(services)
        self.existing = existing or Existing()
        self.databases: dict[str, DatabaseUrls] = {}
        self.mock_kafka = False
        """Whether Kafka is the in-memory one."""
        self.warnings: list[str] = []
        self._allow_mock = allow_mock
        self._report = report or (lambda part, state: None)
        self._restart_crashed = restart_crashed
        self._children: dict[str, Child] = {}
        self._wanted: set[str] = set()
        self._watcher: asyncio.Task[None] | None = None
        self.postgres: PostgresServer | None = None
        if not self.existing.all_databases:
            self.postgres = PostgresServer(
                self.home.path / "postgres", self.ports.postgres, log=self.home.log("postgres")
            )
        self.kafka: KafkaCluster | None = None
        self._kafka_address = self.existing.kafka

    @property
    def gateway(self) -> str:
        """Where buyers and staff come in."""
        return self.urls["gateway"]

    @property
    def kafka_bootstrap_servers(self) -> str:
        return self._kafka_address

    @property
    def smtp_url(self) -> str:
        return self.existing.smtp or f"smtp://127.0.0.1:{self.ports.smtp}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Start everything. On failure everything is stopped again."""
        self.home.acquire()
        try:
            self._refuse_taken_ports()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open_databases())
                group.create_task(self._open_kafka())
            helpers = ["sandbox"] if self.existing.smtp else ["sandbox", "mail"]
            await self._start_together([*helpers, *self.services])
        except BaseException as error:
            await self.close()
            raise _first(error) from None
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop everything: the services first, then the servers they need. At most 10 s."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        self._wanted.clear()
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        servers = [child for name, child in self._children.items() if name.startswith("kafka")]
        if self.kafka is not None:
            servers += [broker.child for broker in self.kafka.brokers]
        if self.postgres is not None:
            servers.append(self.postgres.child)
        await _stop_together([child for child in self._children.values() if child not in servers], grace=5.0)
        await _stop_together(servers, grace=3.0)
        self.home.release()

    async def start(self, name: str) -> None:
        """Start a part that was killed or stopped, and return when it is ready."""
        if name == "postgres":
            await self._start_postgres()
        elif name == "kafka":
            await self._start_kafka()
        else:
            await self._start_together([name])
        self._note()

    async def kill(self, name: str) -> None:
        """SIGKILL a part, without a chance to finish anything. It stays down until `start`."""
        self._wanted.discard(name)
        if name == "postgres":
            await asyncio.to_thread(_embedded(self.postgres, name).kill)
        elif name == "kafka":
            await asyncio.to_thread(_embedded(self.kafka, name).kill)
        else:
            await asyncio.to_thread(self._children[name].kill)

    async def stop(self, name: str) -> None:
        """Stop a part politely. It stays down until `start`."""
        self._wanted.discard(name)
        if name == "postgres":
            await asyncio.to_thread(_embedded(self.postgres, name).stop)
        elif name == "kafka":
            await asyncio.to_thread(_embedded(self.kafka, name).stop)
        else:
            await asyncio.to_thread(self._children[name].stop)

    async def restart_kafka(self, *, kill: bool = False) -> None:
        """Stop (or kill) all brokers, start them, and return when they serve again."""
        await (self.kill("kafka") if kill else self.stop("kafka"))
        await self.start("kafka")

    async def restart_postgres(self, *, kill: bool = False) -> None:
        """Stop (or kill) PostgreSQL, start it, and return when it answers again."""
        await (self.kill("postgres") if kill else self.stop("postgres"))
        await self.start("postgres")

    def running(self, name: str) -> bool:
        """Whether the process of a part is alive."""
        if name == "postgres":
            return self.postgres is not None and self.postgres.running
        if name == "kafka" and self.kafka is not None:
            return self.kafka.running
        return name in self._children and self._children[name].running

    def environment(self, name: str) -> dict[str, str]:
        """The complete environment of a part, also to run a command of ours beside it."""
        given = parts.environment(
            name,
            home=self.home,
            ports=self.ports,
            kafka=self._kafka_address,
            smtp=self.smtp_url,
            database=self.databases.get(name),
        )
        if name in SERVICES:
            given |= self._keys_of_absent_signers()
        return given | self.env | self.service_env.get(name, {})

    def _keys_of_absent_signers(self) -> dict[str, str]:
        """A part of the services can run alone: it is given the public keys that it would have fetched."""
        keys = self.home.secrets()
        absent = {
            "gateway": ("AUTH_JWKS", "TOKEN_SIGNING_KEY", "footlights-gateway"),
            "ticketing": ("QUOTE_JWKS", "QUOTE_SIGNING_KEY", "footlights-ticketing"),
        }
        return {
            variable: json.dumps(Signer(keys[secret], issuer).jwks())
            for service, (variable, secret, issuer) in absent.items()
            if service not in self.services
        }

    def _refuse_taken_ports(self) -> None:
        wanted = {name: self.ports.services[name] for name in self.services} | {"sandbox": self.ports.sandbox}
        if not self.existing.smtp:
            wanted |= {"mail": self.ports.mail_page, "mail (SMTP)": self.ports.smtp}
        if self.postgres is not None:
            wanted["postgres"] = self.ports.postgres
        if not self.existing.kafka:
            wanted |= {f"kafka {number}": port for number, port in enumerate(self.ports.kafka, start=1)}
            wanted |= {
                f"kafka controller {number}": port for number, port in enumerate(self.ports.controllers, start=1)
            }
        for part, port in wanted.items():
            if answers(port):
                owner = port_owner(port)
                by = f" by {owner}" if owner else ""
                remedy = "stop that program, or move all ports: `make up PORT=9000`"
                raise StartFailed(part, f"port {port} is taken{by}", remedy=remedy)

    async def _open_databases(self) -> None:
        for service, url in self.existing.databases.items():
            self.databases[service] = await adopt_database(url, service, self.home.secrets()["DATABASE_PASSWORD"])
        if self.postgres is not None:
            await self._start_postgres()
            for service in SERVICES:
                if service not in self.databases:
                    self.databases[service] = await create_service_database(self.postgres.url(), service)
        if self.services:
            await self._migrate()

    async def _start_postgres(self) -> None:
        server = _embedded(self.postgres, "postgres")
        self._report("postgres", "starting")
        await asyncio.to_thread(server.prepare)
        server.spawn()
        await asyncio.to_thread(server.wait_ready)
        self._wanted.add("postgres")
        self._report("postgres", "ready")

    async def _open_kafka(self) -> None:
        if not self.existing.kafka:
            ports, controllers = list(self.ports.kafka), list(self.ports.controllers)
            self.kafka = KafkaCluster(
                self.home.path / "kafka", ports, controllers, jars=jars_folder(), log=self.home.log("kafka")
            )
            try:
                await self._fetch_kafka(self.kafka.jars)
                await self._start_kafka()
            except JarsUnavailable as unavailable:
                if not self._allow_mock:
                    raise
                await self._open_mock_kafka(unavailable)
                return
            self._kafka_address = self.kafka.bootstrap_servers
        self._report("topics", "starting")
        try:
            if self.kafka is not None and self.kafka.size > 1:
                await topics.spread(self.kafka)
            await topics.apply(self._kafka_address)
        except Exception as error:
            remedy = "is KAFKA_BOOTSTRAP_SERVERS right?" if self.existing.kafka else "look at Kafka's log"
            raise StartFailed("topics", str(error), log=self.home.log("kafka"), remedy=remedy) from error
        self._report("topics", "ready")

    async def _fetch_kafka(self, jars: Path) -> None:
        if not has_jars(jars):
            self._report("fetching Kafka", "starting")
            await asyncio.to_thread(ensure_jars, jars)
            self._report("fetching Kafka", "ready")

    async def _start_kafka(self) -> None:
        cluster = _embedded(self.kafka, "kafka")
        self._report("kafka", "starting")
        await asyncio.to_thread(cluster.prepare)
        cluster.spawn()
        await asyncio.to_thread(cluster.wait_ready)
        self._wanted.add("kafka")
        self._report("kafka", "ready")

    async def _open_mock_kafka(self, reason: JarsUnavailable) -> None:
        self.kafka, self.mock_kafka = None, True
        self.warnings += [f"{reason.why}. {MOCK_WARNING} To get real Kafka: {reason.remedy}"]
        address = self.home.path / "mock-kafka"
        address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "deploy.platform.mockkafka", str(address)]
        child = self._children["kafka"] = Child("kafka", command, log=self.home.log("kafka"), cwd=ROOT)
        child.spawn()
        deadline = time.monotonic() + 30
        while not address.exists():
            if not child.running or time.monotonic() > deadline:
                raise StartFailed("kafka", "the in-memory cluster did not start", log=child.log, remedy=reason.remedy)
            await asyncio.sleep(0.05)
        self._kafka_address = address.read_text()
        self._report("kafka", "ready, in memory")

    async def _migrate(self) -> None:
        """All databases to their newest version, in one process: importing what migrations need takes longest."""
        self._report("migrations", "starting")
        log = self.home.log("migrations")
        targets = [f"{service}={self.databases[service].owner}" for service in self.services]
        command = [sys.executable, "-m", "deploy.platform.migrate", *targets]
        child = Child("migrations", command, log=log, env=base_environment(), cwd=ROOT)
        child.spawn()
        self._children["migrations"] = child
        await asyncio.to_thread(child.wait)
        del self._children["migrations"]
        if child.exit_code:
            last = tail(log, 1)
            raise StartFailed("migrations", last or "failed", log=log, remedy="the log has the statement that failed")
        self._report("migrations", "ready")

    async def _start_together(self, names: Sequence[str]) -> None:
        for name in names:
            self._report(name, "starting")
            child = Child(
                name,
                parts.command(name, self.ports),
                log=self.home.log(name),
                env=self.environment(name),
                cwd=ROOT,
            )
            child.spawn()
            self._children[name] = child
        self._note()
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._until_ready(name))

    async def _until_ready(self, name: str) -> None:
        child = self._children[name]
        path = "/healthz" if name in ("sandbox", "mail") else "/readyz"
        deadline = time.monotonic() + READY_SECONDS
        seen = "no answer"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
            while True:
                if not child.running:
                    why = f"ended with code {child.exit_code}: {_reason(child)}"
                    raise StartFailed(name, why, log=child.log, remedy="the log has the whole story")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(self.urls[name] + path) as answer:
                        seen = f"{answer.status} {(await answer.text())[:300]}"
                        if answer.status == 200:
                            break
                if time.monotonic() > deadline:
                    raise StartFailed(name, f"not ready after {READY_SECONDS:.0f} s: {seen}", log=child.log)
                await asyncio.sleep(0.1)
        self._wanted.add(name)
        self._report(name, "ready")

    async def _watch(self) -> None:
        """Names every part that ends by itself, and starts it again if that is wanted."""
        pauses: dict[str, float] = {}
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(0.5)
            for name in [name for name in self._wanted if not self.running(name)]:
                self._wanted.discard(name)
                if time.monotonic() - since.get(name, 0.0) > STABLE_SECONDS:
                    pauses[name] = 0.5
                pause = pauses[name] = min(pauses[name] * 2, LONGEST_PAUSE)
                again = self._restart_crashed and not (name == "kafka" and self.mock_kafka)
                self._report(name, f"ended unexpectedly{f', starting again in {pause:.0f} s' if again else ''}")
                if again:
                    since[name] = time.monotonic() + pause
                    await asyncio.sleep(pause)
                    await self._try_again(name)

    async def _try_again(self, name: str) -> None:
        try:
            await self.start(name)
        except Exception as error:
            self._report(name, str(_first(error)))
            self._wanted.add(name)

    def _note(self) -> None:
        pids = {name: child.pid for name, child in self._children.items() if child.pid and child.running}
        if self.postgres is not None and self.postgres.child.pid:
            pids["postgres"] = self.postgres.child.pid
        for broker in self.kafka.brokers if self.kafka else ():
            if broker.child.pid:
                pids[broker.child.name] = broker.child.pid
        about: dict[str, object] = {
            "urls": self.urls,
            "kafka": self._kafka_address,
            "smtp": self.smtp_url,
            "mock_kafka": self.mock_kafka,
            "databases": {service: urls.environment() for service, urls in self.databases.items()},
        }
        self.home.write_note(pids, about)


def _embedded(server: _Server | None, name: str) -> _Server:
    if server is None:
        raise ValueError(f"{name} is not ours to start and stop")
    return server


async def _stop_together(children: Sequence[Child], grace: float) -> None:
    for child in children:
        child.signal(child.stop_signal)
    deadline = time.monotonic() + grace
    for child in children:
        await asyncio.to_thread(child.stop, max(0.1, deadline - time.monotonic()))


def _first(error: BaseException) -> BaseException:
    """The one error inside a group that a person should see."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, StartFailed)), error.exceptions[0])
    return error


def _reason(child: Child) -> str:
    lines = [line for line in tail(child.log, 30).splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error" in line]
    return (errors or lines or ["its log is empty"])[-1].strip()[:400]
