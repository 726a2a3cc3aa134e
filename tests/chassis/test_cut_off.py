"""The way to Kafka is cut without a word: no connection is closed, and nothing comes through any more."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from chassis.db import Database
from chassis.runner import ConsumerRunner
from deploy.platform import topics
from deploy.platform.databases import DatabaseUrls
from deploy.platform.kafka import KafkaCluster
from deploy.platform.processes import free_ports
from tests.chassis import probe
from tests.chassis.probe import changed, publish, relay_of, running, tally
from tests.harness import JARS, Kafka, eventually


class Way:
    """Forwards bytes. `cut` lets those connections that there are lead nowhere, for ever, and new ones until `mend`."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self._cut: set[int] = set()
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut = True
        self._cut |= set(self._open)

    def mend(self) -> None:
        self._is_cut = False

    @property
    def dead(self) -> int:
        return len(self._cut)

    def close(self) -> None:
        self._listener.close()
        for pair in list(self._open.values()):
            for one in pair:
                one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(1_000_000):
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open[number] = client, server
                if self._is_cut:
                    self._cut.add(number)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(number, source, sink), daemon=True).start()

    def _carry(self, number: int, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if number not in self._cut:
                    sink.sendall(part)
            if number not in self._cut:
                sink.shutdown(socket.SHUT_WR)


class ByTheWay(KafkaCluster):
    way: Way

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.way.port}"


@pytest.fixture
def way_and_kafka(own_folder: Path) -> Iterator[tuple[Way, Kafka]]:
    """A broker that says that it is reached by the way alone."""
    port, target, controller = free_ports(3)
    cluster = ByTheWay(
        own_folder / "kafka",
        [target],
        [controller],
        jars=JARS,
        log=own_folder / "kafka.log",
        light=True,
        settings={"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"},
    )
    cluster.way = Way(port, target)
    try:
        cluster.start()
        yield cluster.way, Kafka(cluster)
    finally:
        cluster.stop(grace=3)
        cluster.way.close()


@pytest.mark.timeout(240)
async def test_relay_and_consumer_go_on_when_the_way_is_there_again(
    way_and_kafka: tuple[Way, Kafka], db: Database, urls: DatabaseUrls, group: str
) -> None:
    way, kafka = way_and_kafka
    await topics.apply(kafka.bootstrap_servers)
    settings = probe.settings_for(urls, kafka)
    customer = uuid4()
    async with (
        running(relay_of(db, settings).run()),
        running(ConsumerRunner(probe.consumer(group), db, settings).run()),
    ):
        await publish(db, [changed(customer, "before")])
        await eventually(lambda: tally(db, customer), timeout=60)
        way.cut()
        assert way.dead > 2
        await publish(db, [changed(customer, f"meanwhile {n}") for n in range(3)])
        # Both have noticed when they have tried a new connection, which leads nowhere either.
        known = way.dead
        await eventually(lambda: way.dead > known + 1, timeout=90)
        assert await tally(db, customer) == ["before"]
        way.mend()
        await publish(db, [changed(customer, "after")])
        wanted = ["before", *(f"meanwhile {n}" for n in range(3)), "after"]

        async def heard() -> bool:
            assert await tally(db, customer) == wanted
            return True

        await eventually(heard, timeout=120)
