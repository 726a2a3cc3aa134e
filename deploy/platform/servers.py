"""PostgreSQL and Kafka of a platform: embedded ones, existing ones, or an in-memory Kafka in need."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from chassis.kafka import Brokers
from chassis.settings import KafkaSettings
from deploy.platform import topics
from deploy.platform.databases import DatabaseUrls, adopt_database, create_service_database
from deploy.platform.home import ROOT, Home, jars_folder
from deploy.platform.jars import JarsUnavailable, ensure_jars, has_jars
from deploy.platform.kafka import MOCK_WARNING, KafkaCluster
from deploy.platform.parts import Existing
from deploy.platform.ports import SERVICES, Ports
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import Child, StartFailed, base_environment, tail

NAMES = ("postgres", "kafka")

Report = Callable[[str, str], None]
"""Called with a part and what it does now: "starting", "ready", "ended with code 1, starting again"."""

_Server = TypeVar("_Server", PostgresServer, KafkaCluster)


class Servers:
    """What the services stand on. Everything here must be called from the main thread's event loop."""

    def __init__(self, home: Home, ports: Ports, existing: Existing, *, allow_mock: bool, report: Report) -> None:
        self.home = home
        self.ports = ports
        self.existing = existing
        self.databases: dict[str, DatabaseUrls] = {}
        self.warnings: list[str] = []
        self.kafka_address = existing.kafka
        self.kafka: KafkaCluster | None = None
        self.mock: Child | None = None
        self.postgres: PostgresServer | None = None
        if not existing.all_databases:
            self.postgres = PostgresServer(home.path / "postgres", ports.postgres, log=home.log("postgres"))
        self._migrations: Child | None = None
        self._allow_mock = allow_mock
        self._report = report

    async def open(self, services: Sequence[str]) -> None:
        """Start what is to be started, side by side, and make databases and topics fit for these services."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._open_databases(services))
            group.create_task(self._open_kafka())

    def children(self) -> dict[str, Child]:
        """Every process by name."""
        found = {broker.child.name: broker.child for broker in self.kafka.brokers} if self.kafka else {}
        if self.postgres is not None:
            found["postgres"] = self.postgres.child
        if self.mock is not None:
            found["kafka"] = self.mock
        if self._migrations is not None:
            found["migrations"] = self._migrations
        return found

    def running(self, name: str) -> bool:
        """Whether "postgres" or "kafka" runs, if it is ours; all brokers count."""
        if name == "kafka" and self.mock is not None:
            return self.mock.running
        server = self.postgres if name == "postgres" else self.kafka
        return server is not None and server.running

    async def start(self, name: str) -> None:
        await (self._start_postgres() if name == "postgres" else self._start_kafka())

    async def stop(self, name: str) -> None:
        server = _ours(self.postgres, name) if name == "postgres" else _ours(self.kafka, name)
        await asyncio.to_thread(server.stop)

    async def kill(self, name: str) -> None:
        server = _ours(self.postgres, name) if name == "postgres" else _ours(self.kafka, name)
        await asyncio.to_thread(server.kill)

    async def _open_databases(self, services: Sequence[str]) -> None:
        for service, url in self.existing.databases.items():
            self.databases[service] = await adopt_database(url, service, self.home.secrets()["DATABASE_PASSWORD"])
        if self.postgres is not None:
            await self._start_postgres()
            for service in SERVICES:
                if service not in self.databases:
                    self.databases[service] = await create_service_database(self.postgres.url(), service)
        if services:
            await self._migrate(services)

    async def _start_postgres(self) -> None:
        server = _ours(self.postgres, "postgres")
        self._report("postgres", "starting")
        await asyncio.to_thread(server.prepare)
        server.spawn()
        await asyncio.to_thread(server.wait_ready)
        self._report("postgres", "ready")

    async def _open_kafka(self) -> None:
        if not self.existing.kafka:
            ports, controllers = list(self.ports.kafka), list(self.ports.controllers)
            data, log = self.home.path / "kafka", self.home.log("kafka")
            self.kafka = KafkaCluster(
                data,
                ports,
                controllers,
                jars=jars_folder(),
                log=log,
                light=True,
                metrics_ports=self.ports.kafka_metrics,
            )
            try:
                await self._fetch_kafka(self.kafka.jars)
                await self._start_kafka()
            except JarsUnavailable as unavailable:
                if not self._allow_mock:
                    raise
                await self._open_mock_kafka(unavailable)
                return
            self.kafka_address = self.kafka.bootstrap_servers
        self._report("topics", "starting")
        try:
            if self.kafka is not None and self.kafka.size > 1:
                await topics.spread(self.kafka)
            await topics.apply(self._brokers)
        except Exception as error:
            remedy = "is KAFKA_BOOTSTRAP_SERVERS right?" if self.existing.kafka else "look at Kafka's log"
            raise StartFailed("topics", str(error), log=self.home.log("kafka"), remedy=remedy) from error
        self._report("topics", "ready")

    @property
    def _brokers(self) -> Brokers:
        """Of a Kafka that runs already the environment says how one gets in; ours asks for nothing."""
        given = self.existing.kafka
        return KafkaSettings(kafka_bootstrap_servers=given) if given else self.kafka_address

    async def _fetch_kafka(self, jars: Path) -> None:
        if not has_jars(jars):
            self._report("fetching Kafka", "starting")
            try:
                await asyncio.to_thread(ensure_jars, jars)
            except JarsUnavailable as unavailable:
                self._report("fetching Kafka", f"failed: {unavailable.why}")
                raise
            self._report("fetching Kafka", "ready")

    async def _start_kafka(self) -> None:
        cluster = _ours(self.kafka, "kafka")
        self._report("kafka", "starting")
        await asyncio.to_thread(cluster.prepare)
        cluster.spawn()
        await asyncio.to_thread(cluster.wait_ready)
        self._report("kafka", "ready")

    async def _open_mock_kafka(self, reason: JarsUnavailable) -> None:
        self.kafka = None
        self.warnings += [f"{reason.why}. {MOCK_WARNING} To get real Kafka: {reason.remedy}"]
        address = self.home.path / "mock-kafka"
        address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "deploy.platform.mockkafka", str(address)]
        child = self.mock = Child("kafka", command, log=self.home.log("kafka"), cwd=ROOT)
        child.spawn()
        deadline = time.monotonic() + 30
        while not address.exists():
            if not child.running or time.monotonic() > deadline:
                raise StartFailed("kafka", "the in-memory cluster did not start", log=child.log, remedy=reason.remedy)
            await asyncio.sleep(0.05)
        self.kafka_address = address.read_text()
        self._report("kafka", "ready, in memory")

    async def _migrate(self, services: Sequence[str]) -> None:
        """All databases to their newest version, in one process: importing what migrations need takes longest."""
        self._report("migrations", "starting")
        log = self.home.log("migrations")
        targets = [f"{service}={self.databases[service].owner}" for service in services]
        command = [sys.executable, "-m", "deploy.platform.migrate", *targets]
        child = Child("migrations", command, log=log, env=base_environment(), cwd=ROOT)
        child.spawn()
        self._migrations = child
        await asyncio.to_thread(child.wait)
        if child.exit_code:
            last = tail(log, 1)
            raise StartFailed("migrations", last or "failed", log=log, remedy="the log has the statement that failed")
        self._report("migrations", "ready")


def _ours(server: _Server | None, name: str) -> _Server:
    if server is None:
        raise ValueError(f"{name} is not ours to start and stop")
    return server
