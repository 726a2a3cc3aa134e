"""Apache Kafka 4.3.1 in KRaft mode, as ordinary Java processes: one broker, or three with replication 3.

Every broker is a controller as well. Brokers can be added to the data of one; they cannot be taken away again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from deploy.platform.jars import POM, ensure_jars, java, metrics_agent
from deploy.platform.processes import Child, StartFailed, run_helper, wait_until_answers

LOGGING = POM.with_name("log4j2.xml")
METRICS = POM.with_name("metrics.yml")
CLUSTER_ID = "Zm9vdGxpZ2h0cy1rYWZrYQ"
MOCK_WARNING = (
    "Kafka runs in memory (librdkafka's mock cluster): all events are lost when it stops, partitions keep only "
    "recent records, settings of topics are ignored, a service can have one instance only, "
    "and filling the archive of reports from the topics is not possible."
)


class Broker:
    """One broker, which is also a controller."""

    def __init__(self, cluster: KafkaCluster, node: int, port: int, controller_port: int) -> None:
        self.node = node
        self.port = port
        self.controller_port = controller_port
        self.cluster = cluster
        self.folder = cluster.data / f"broker-{node}"
        self.settings = self.folder / "server.properties"
        self.log = cluster.log.with_stem(f"{cluster.log.stem}-{node}") if node > 1 else cluster.log
        name = "kafka" if node == 1 else f"kafka-{node}"
        self.child = Child(
            name,
            [
                java(),
                *cluster.java_options(),
                *cluster.metrics_options(node),
                "-cp",
                cluster.classpath,
                "kafka.Kafka",
                str(self.settings),
            ],
            log=self.log,
            cwd=cluster.data.parent,
            stop_signal=signal.SIGTERM,
        )

    def prepare(self) -> None:
        """Write the settings, format new storage, end a broker that was left behind on this folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        end_leftover(self.settings)
        self.settings.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        storage = self.folder / "storage"
        (storage / ".lock").unlink(missing_ok=True)
        if (storage / "meta.properties").exists():
            return
        command = [
            java(),
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            self.cluster.classpath,
            "kafka.tools.StorageTool",
        ]
        command += ["format", "-t", CLUSTER_ID, "-c", str(self.settings), "--ignore-formatted"]
        for name, password in self.cluster.accounts.items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        done = run_helper(command)
        if done.returncode != 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(done.stdout + done.stderr)
            raise StartFailed(self.child.name, "its storage could not be formatted", log=self.log)

    def properties(self) -> dict[str, str]:
        brokers, listener = self.cluster.size, self.cluster.listener
        replication = min(3, brokers)
        voters = ",".join(f"{n}@127.0.0.1:{port}" for n, port in self.cluster.controllers())
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "controller.quorum.voters": voters,
            "listeners": f"{listener}://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"{listener}://127.0.0.1:{self.port}",
            "listener.security.protocol.map": f"{listener}:{listener},CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": listener,
            "log.dirs": str(self.folder / "storage"),
            "auto.create.topics.enable": "false",
            "broker.session.timeout.ms": "6000",
            "broker.heartbeat.interval.ms": "1000",
            "group.initial.rebalance.delay.ms": "0",
            "default.replication.factor": str(replication),
            "min.insync.replicas": str(max(1, replication - 1)),
            "offsets.topic.replication.factor": str(replication),
            "offsets.topic.num.partitions": "12",
            # Ten years: a group whose place was forgotten would begin again with topics that are kept for ever.
            "offsets.retention.minutes": "5256000",
            "transaction.state.log.replication.factor": str(replication),
            "transaction.state.log.min.isr": str(max(1, replication - 1)),
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": str(replication),
            "share.coordinator.state.topic.min.isr": str(max(1, replication - 1)),
            "share.coordinator.state.topic.num.partitions": "1",
            "num.network.threads": "2",
            "num.io.threads": "4",
            "log.cleaner.dedupe.buffer.size": "8388608",
            "log.segment.bytes": "67108864",
            **self.cluster.settings,
        }


class KafkaCluster:
    """One or three brokers on this machine, killed, stopped and restarted at will.

    Blocking; a caller in an event loop runs `prepare` and `wait_ready` in a thread and `spawn` in the main thread.
    """

    def __init__(
        self,
        data: Path,
        ports: list[int],
        controller_ports: list[int],
        *,
        jars: Path,
        log: Path,
        light: bool = False,
        metrics_ports: Sequence[int] = (),
        listener: str = "PLAINTEXT",
        settings: Mapping[str, str] | None = None,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        if len(ports) != len(controller_ports):
            raise ValueError("each broker needs a port and a controller port")
        self.data = data.absolute()
        self.log = log.absolute()
        self.size = len(ports)
        self.light = light
        """Whether to work less until it serves, at the price of throughput under a long full load."""
        self.metrics_ports = tuple(metrics_ports)
        """Where each broker shows its figures to Prometheus; none if empty."""
        self.listener = listener
        """How clients connect: one of Kafka's security protocols. What it needs besides is in `settings`."""
        self.settings = settings or {}
        self.accounts = accounts or {}
        """Passwords of SCRAM accounts that exist from the start, by name."""
        self.jars = jars.absolute()
        self.classpath = f"{self.jars}/*"
        self._controller_ports = controller_ports
        numbered = enumerate(zip(ports, controller_ports, strict=True), start=1)
        self.brokers = [Broker(self, node, port, controller) for node, (port, controller) in numbered]

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    @property
    def running(self) -> bool:
        return all(broker.child.running for broker in self.brokers)

    def controllers(self) -> list[tuple[int, int]]:
        return list(enumerate(self._controller_ports, start=1))

    def java_options(self) -> list[str]:
        heap = "512m" if self.size == 1 else "400m"
        # The first compiler alone: a third less work until the broker serves, and slower from then on.
        quick = ["-XX:TieredStopAtLevel=1"] if self.light else []
        return [
            *quick,
            f"-Xmx{heap}",
            "-Xms128m",
            "-XX:+UseSerialGC",
            "-Xshare:auto",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={LOGGING}",
        ]

    def metrics_options(self, node: int) -> list[str]:
        if not self.metrics_ports:
            return []
        return [f"-javaagent:{metrics_agent(self.jars)}=127.0.0.1:{self.metrics_ports[node - 1]}:{METRICS}"]

    def start(self, timeout: float = 120) -> None:
        self.prepare()
        self.spawn()
        self.wait_ready(timeout)

    def prepare(self) -> None:
        """Make every broker that does not run ready to. Brokers can be added to data of one, never taken away."""
        ensure_jars(self.jars)
        before = brokers_in(self.data)
        if before > self.size:
            raise StartFailed(
                "kafka", f"its data are spread over {before} brokers", remedy=f"start with BROKERS={before}"
            )
        for broker in self.brokers:
            if not broker.child.running:
                broker.prepare()
        if 0 < before < self.size:
            self._share_metadata(self.brokers[:before], self.brokers[before:])

    def _share_metadata(self, old: list[Broker], new: list[Broker]) -> None:
        # The new ones are a majority: with empty logs they could elect one of themselves, and all topics were gone.
        name = "__cluster_metadata-0"
        source = old[0].folder / "storage" / name
        for broker in new:
            shutil.copytree(source, broker.folder / "storage" / name, dirs_exist_ok=True)
        for broker in self.brokers:
            # It names the voters as they were, and Kafka refuses to start when they have changed.
            (broker.folder / "storage" / name / "quorum-state").unlink(missing_ok=True)

    def spawn(self) -> None:
        for broker in self.brokers:
            if not broker.child.running:
                broker.child.spawn()

    def wait_ready(self, timeout: float = 120) -> None:
        """Return when every broker accepts clients."""
        for broker in self.brokers:
            remedy = "look at the end of the log; is there 1 GB of memory free?"
            wait_until_answers(broker.child, broker.port, timeout, remedy)
            self._wait_started(broker, timeout)

    def _wait_started(self, broker: Broker, timeout: float) -> None:
        # The socket opens a moment before requests are served; the log has the line that counts.
        deadline = time.monotonic() + timeout
        while not broker.child.said("Kafka Server started"):
            if not broker.child.running or time.monotonic() > deadline:
                raise StartFailed(broker.child.name, "did not come up", log=broker.log)
            time.sleep(0.05)

    def reassign(self, replicas: dict[str, list[list[int]]]) -> None:
        """Ask the brokers to keep partitions (by topic and number) on other nodes; returns before it is done."""
        wanted = [
            {"topic": topic, "partition": number, "replicas": nodes}
            for topic, partitions in replicas.items()
            for number, nodes in enumerate(partitions)
        ]
        file = self.data / "reassignment.json"
        file.write_text(json.dumps({"version": 1, "partitions": wanted}))
        command = [
            java(),
            "-Xmx128m",
            "-cp",
            self.classpath,
            "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
        ]
        command += ["--bootstrap-server", self.bootstrap_servers, "--reassignment-json-file", str(file), "--execute"]
        done = run_helper(command)
        if done.returncode != 0:
            raise StartFailed("kafka", f"partitions cannot be spread: {done.stdout[-300:]}", log=self.log)

    def stop(self, grace: float = 6.0) -> None:
        for broker in self.brokers:
            broker.child.signal(signal.SIGTERM)  # all at once: a lone survivor would wait for a quorum
        deadline = time.monotonic() + grace
        for broker in self.brokers:
            broker.child.stop(max(0.1, deadline - time.monotonic()))

    def kill(self, node: int | None = None) -> None:
        """SIGKILL one broker (numbered from 1), or all."""
        for broker in self.brokers:
            if node in (None, broker.node):
                broker.child.kill()

    def restart(self) -> None:
        self.stop()
        self.start()


def brokers_in(data: Path) -> int:
    """How many brokers have data in the folder."""
    return len(list(data.glob("broker-*/storage/meta.properties")))


def end_leftover(settings: Path) -> None:
    """End a broker that still runs with these settings because whoever started it was killed."""
    for process in psutil.process_iter(["name", "cmdline"]):
        command = process.info["cmdline"] or []
        if process.info["name"] == "java" and str(settings) in command:
            with contextlib.suppress(psutil.Error):
                process.terminate()
                try:
                    process.wait(5)
                except psutil.TimeoutExpired:
                    process.kill()
                    process.wait(3)
