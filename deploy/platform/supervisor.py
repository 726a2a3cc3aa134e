"""Starts, watches, kills and stops everything that makes up a running Footlights. See `Platform`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.platform import parts
from deploy.platform.databases import DatabaseUrls
from deploy.platform.home import ROOT, Home
from deploy.platform.kafka import KafkaCluster
from deploy.platform.parts import Existing
from deploy.platform.ports import SERVICES, Ports, refuse_taken
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import Child, first_cause
from deploy.platform.readiness import until_ready
from deploy.platform.servers import NAMES as SERVERS
from deploy.platform.servers import Report, Servers
from deploy.platform.watch import Watch


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
        self._report = report or (lambda part, state: None)
        self._servers = Servers(self.home, self.ports, self.existing, allow_mock=allow_mock, report=self._report)
        self._children: dict[str, Child] = {}

        def revives(name: str) -> bool:
            return restart_crashed and not (name == "kafka" and self.mock_kafka)

        self._watch = Watch(self.running, self.start, revives, self._report)

    @property
    def databases(self) -> dict[str, DatabaseUrls]:
        """How each service reaches its database."""
        return self._servers.databases

    @property
    def postgres(self) -> PostgresServer | None:
        """The embedded server."""
        return self._servers.postgres

    @property
    def kafka(self) -> KafkaCluster | None:
        """The embedded brokers."""
        return self._servers.kafka

    @property
    def mock_kafka(self) -> bool:
        """Whether Kafka is the in-memory one."""
        return self._servers.mock is not None

    @property
    def warnings(self) -> list[str]:
        """What a person should know of this platform."""
        return self._servers.warnings

    @property
    def gateway(self) -> str:
        """Where buyers and staff come in."""
        return self.urls["gateway"]

    @property
    def kafka_bootstrap_servers(self) -> str:
        return self._servers.kafka_address

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
            await self._servers.open(self.services)
            self._watch.wanted |= {name for name in SERVERS if self._servers.running(name)}
            self._note()
            helpers = ["sandbox"] if self.existing.smtp else ["sandbox", "mail"]
            await self._start_together([*helpers, *self.services])
        except BaseException as error:
            await self.close()
            raise first_cause(error) from None
        self._watch.begin()

    async def close(self) -> None:
        """Stop everything: the services first, then the servers they need. At most 10 s."""
        await self._watch.end()
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        await _stop_together(list(self._children.values()), grace=5.0)
        await _stop_together(list(self._servers.children().values()), grace=3.0)
        self.home.release()

    async def start(self, name: str) -> None:
        """Start a part that was killed or stopped, and return when it is ready."""
        if name in SERVERS:
            await self._servers.start(name)
            self._watch.wanted.add(name)
        else:
            await self._start_together([name])
        self._note()

    async def kill(self, name: str) -> None:
        """SIGKILL a part, without a chance to finish anything. It stays down until `start`."""
        self._watch.wanted.discard(name)
        await (self._servers.kill(name) if name in SERVERS else asyncio.to_thread(self._children[name].kill))

    async def stop(self, name: str) -> None:
        """Stop a part politely. It stays down until `start`."""
        self._watch.wanted.discard(name)
        await (self._servers.stop(name) if name in SERVERS else asyncio.to_thread(self._children[name].stop))

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
        if name in SERVERS:
            return self._servers.running(name)
        return name in self._children and self._children[name].running

    def environment(self, name: str) -> dict[str, str]:
        """The complete environment of a part, also to run a command of ours beside it."""
        given = parts.environment(
            name,
            home=self.home,
            ports=self.ports,
            kafka=self._servers.kafka_address,
            smtp=self.smtp_url,
            database=self.databases.get(name),
        )
        if name in SERVICES:
            given |= parts.keys_of_absent_signers(self.home.secrets(), self.services)
        return given | self.env | self.service_env.get(name, {})

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
        refuse_taken(wanted)

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
        path = "/healthz" if name in ("sandbox", "mail") else "/statusz"
        await until_ready(self._children[name], self.urls[name] + path)
        self._watch.wanted.add(name)
        self._report(name, "ready")

    def _note(self) -> None:
        living = self._children | self._servers.children()
        pids = {name: child.pid for name, child in living.items() if child.pid and child.running}
        about: dict[str, object] = {
            "urls": self.urls,
            "kafka": self._servers.kafka_address,
            "smtp": self.smtp_url,
            "mock_kafka": self.mock_kafka,
            "databases": {service: urls.environment() for service, urls in self.databases.items()},
        }
        self.home.write_note(pids, about)


async def _stop_together(children: Sequence[Child], grace: float) -> None:
    for child in children:
        child.signal(child.stop_signal)
    deadline = time.monotonic() + grace
    for child in children:
        await asyncio.to_thread(child.stop, max(0.1, deadline - time.monotonic()))
