"""Applies `contracts/topics.py` to a Kafka: creates what is missing and corrects settings that differ.

It adds partitions only when told to, never deletes a topic, and never takes partitions away (Kafka cannot).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, KafkaError, TopicAlreadyExistsError, for_code

from contracts.topics import Topic, all_topics

if TYPE_CHECKING:
    from deploy.platform.kafka import KafkaCluster  # only named: an image holds this module without the rest


@dataclass(slots=True)
class Applied:
    """What `apply` changed."""

    created: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)


class TooFewPartitions(Exception):
    """A topic must grow, and nobody has said that it may."""


@contextlib.asynccontextmanager
async def administration(bootstrap_servers: str, timeout: float = 20) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client; waits up to `timeout` seconds for a broker that is just starting."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=10_000)
        try:
            await client.start()
            break
        except KafkaConnectionError:
            await client.close()
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)
    try:
        yield client
    finally:
        await client.close()


async def partitions(bootstrap_servers: str) -> dict[str, int]:
    """How many partitions each topic of the broker has."""
    async with administration(bootstrap_servers) as client:
        return {entry["topic"]: len(entry["partitions"]) for entry in await client.describe_topics()}


async def apply(bootstrap_servers: str, topics: Iterable[Topic] | None = None, *, grow: bool = False) -> Applied:
    """Make the broker's topics as the table says; idempotent.

    Raises `TooFewPartitions` for a topic that has fewer partitions than the table wants, unless `grow`: its keys would
    move to other partitions, and events of one key would overtake each other.
    """
    wanted = {topic.name: topic for topic in (topics or all_topics())}
    applied = Applied()
    async with administration(bootstrap_servers) as client:
        brokers = len((await client.describe_cluster())["brokers"])
        known = {entry["topic"]: entry for entry in await client.describe_topics()}
        missing = [topic for name, topic in wanted.items() if name not in known]
        await _create(client, missing, replication=min(3, brokers))
        applied.created = [topic.name for topic in missing]
        present = [topic for name, topic in wanted.items() if name in known]
        small = [topic for topic in present if len(known[topic.name]["partitions"]) < topic.partitions]
        if small and not grow:
            raise TooFewPartitions(
                f"{', '.join(topic.name for topic in small)}: fewer partitions than contracts/topics.py wants. Growing "
                "breaks the order of keys: let all groups read to the end and stop the producers first, then "
                "`footlights topics apply --grow`."
            )
        if small:
            await client.create_partitions({topic.name: NewPartitions(topic.partitions) for topic in small})
            applied.grown = [topic.name for topic in small]
        applied.corrected = await _correct(client, present, known)
    return applied


async def _create(client: AIOKafkaAdminClient, topics: list[Topic], replication: int) -> None:
    if not topics:
        return
    fresh = [
        NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.config() | _durability(replication))
        for topic in topics
    ]
    for attempt in range(20):
        response = await client.create_topics(fresh)
        errors = [(name, for_code(code)) for name, code, *_ in response.topic_errors if code]
        bad = [(name, kind) for name, kind in errors if kind is not TopicAlreadyExistsError]
        if not bad:
            return
        if not all(kind.retriable or "InvalidReplication" in kind.__name__ for _, kind in bad) or attempt == 19:
            raise KafkaError(f"topics not created: {', '.join(f'{name}: {kind.__name__}' for name, kind in bad)}")
        await asyncio.sleep(0.25)  # brokers of a new cluster register one after another


def _durability(replication: int) -> dict[str, str]:
    return {"min.insync.replicas": str(max(1, replication - 1))}


async def _correct(client: AIOKafkaAdminClient, topics: list[Topic], known: dict[str, Any]) -> list[str]:
    if not topics:
        return []
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    current: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            current[name] = {entry[0]: entry[1] for entry in entries}
    changes = []
    for topic in topics:
        wanted = topic.config() | _durability(len(known[topic.name]["partitions"][0]["replicas"]))
        now = current.get(topic.name, {})
        if any(now.get(key) != value for key, value in wanted.items()):
            changes.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted))
    if changes:
        await client.alter_configs(changes)
    return [change.name for change in changes]


async def spread(cluster: KafkaCluster, timeout: float = 60) -> int:
    """After brokers were added: keep every partition on all of them. Returns how many topics were spread."""
    nodes = [broker.node for broker in cluster.brokers]
    async with administration(cluster.bootstrap_servers) as client:
        thin = await _thin(client, len(nodes), "replicas")
        if not thin:
            return 0
        turns = {
            name: [nodes[n % len(nodes) :] + nodes[: n % len(nodes)] for n in range(count)] for name, count in thin
        }
        await asyncio.to_thread(cluster.reassign, turns)
        async with asyncio.timeout(timeout):
            while True:
                if not await _thin(client, len(nodes), "isr"):
                    break
                await asyncio.sleep(0.25)
    return len(thin)


async def _thin(client: AIOKafkaAdminClient, wanted: int, which: str) -> list[tuple[str, int]]:
    """Topics with fewer than the wanted "replicas" or "isr", and their numbers of partitions."""
    return [
        (entry["topic"], len(entry["partitions"]))
        for entry in await client.describe_topics()
        if any(len(partition[which]) < wanted for partition in entry["partitions"])
    ]
