"""Applies `contracts/topics.py` to a Kafka: creates what is missing and corrects the settings that the table names.

It adds partitions only when told to, leaves settings that the table does not name as they are, never deletes a topic,
and never takes partitions away (Kafka cannot).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from aiokafka.errors import KafkaConnectionError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from chassis import kafka
from chassis.kafka import Brokers
from contracts.topics import Topic, all_topics

if TYPE_CHECKING:
    from deploy.platform.kafka import KafkaCluster  # only named: an image holds this module without the rest

SECONDS = 10
OFFSETS_KEPT = timedelta(days=365)
"""Where a group stands must outlive any pause of a service: afterwards it would read its topics from the beginning, and
ids of events are remembered for weeks only."""
MOST_REPLICAS = 3

K = TypeVar("K")
T = TypeVar("T")


@dataclass(slots=True)
class Applied:
    """What `apply` changed."""

    created: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)


class TooFewPartitions(Exception):
    """A topic must grow, and nobody has said that it may."""


class TooFewBrokers(Exception):
    """A topic would get fewer replicas than it should have, because a broker is away."""


@contextlib.asynccontextmanager
async def administration(brokers: Brokers, timeout: float = 20) -> AsyncIterator[AdminClient]:
    """An admin client; waits up to `timeout` seconds for a broker that is just starting, then raises
    `KafkaConnectionError` with the reason."""
    deadline = asyncio.get_running_loop().time() + timeout
    while trouble := await kafka.trouble(brokers):
        if asyncio.get_running_loop().time() > deadline or kafka.REFUSED in trouble:
            raise KafkaConnectionError(trouble)
        await asyncio.sleep(0.1)
    yield AdminClient(kafka.librdkafka(brokers) | {"log_level": 2, "socket.timeout.ms": SECONDS * 1000})


async def done(futures: Mapping[K, Future[T]]) -> dict[K, T]:
    """What an admin client was asked for. Raises `KafkaException`."""
    return {key: await asyncio.wrap_future(future) for key, future in futures.items()}


async def metadata(client: AdminClient) -> ClusterMetadata:
    return await asyncio.to_thread(client.list_topics, timeout=SECONDS)


async def partitions(brokers: Brokers) -> dict[str, int]:
    """How many partitions each topic of the broker has."""
    async with administration(brokers) as client:
        return {name: len(topic.partitions) for name, topic in (await metadata(client)).topics.items()}


async def doubts(brokers: Brokers) -> list[str]:
    """What in the brokers' own settings, which are not ours to set, would harm us one day."""
    async with administration(brokers) as client:
        seen = await metadata(client)
        resource = ConfigResource(ResourceType.BROKER, str(next(iter(seen.brokers))))
        settings = (await settings_of(client, [resource]))[resource.name]
    named = settings.get("offsets.retention.minutes")
    kept = timedelta(minutes=int(named.value)) if named is not None and named.value else OFFSETS_KEPT
    if kept >= OFFSETS_KEPT:
        return []
    minute = timedelta(minutes=1)
    return [
        f"offsets.retention.minutes is {kept // minute}: the brokers forget where a service stands {kept.days} days "
        f"after it was stopped, and it would handle old events again. Set it to {OFFSETS_KEPT // minute} at least."
    ]


async def apply(
    brokers: Brokers, topics: Iterable[Topic] | None = None, *, grow: bool = False, replication: int = 0
) -> Applied:
    """Make the broker's topics as the table says; idempotent. `replication` 0: as many as the cluster is made for.

    Raises `TooFewPartitions` for a topic that has fewer partitions than the table wants, unless `grow`: its keys would
    move to other partitions, and events of one key would overtake each other. Raises `TooFewBrokers` when a topic is
    missing and so is a broker.
    """
    wanted = {topic.name: topic for topic in (topics or all_topics())}
    applied = Applied()
    async with administration(brokers) as client:
        known = (await metadata(client)).topics
        missing = [topic for name, topic in wanted.items() if name not in known]
        if missing:
            await _create(client, missing, replication)
        applied.created = [topic.name for topic in missing]
        present = [topic for name, topic in wanted.items() if name in known]
        small = [topic for topic in present if len(known[topic.name].partitions) < topic.partitions]
        if small and not grow:
            raise TooFewPartitions(
                f"{', '.join(topic.name for topic in small)}: fewer partitions than contracts/topics.py wants. Growing "
                "breaks the order of keys: let all groups read to the end and stop the producers first, then "
                "`footlights topics apply --grow`."
            )
        if small:
            await done(client.create_partitions([NewPartitions(topic.name, topic.partitions) for topic in small]))
            applied.grown = [topic.name for topic in small]
        applied.corrected = await _correct(client, present, known)
    return applied


async def _create(client: AdminClient, topics: list[Topic], replication: int) -> None:
    for attempt in range(20):
        try:
            wanted = replication or await _replication(client)
            fresh = [
                NewTopic(
                    topic.name,
                    num_partitions=topic.partitions,
                    replication_factor=wanted,
                    config=topic.config() | _durability(wanted),
                )
                for topic in topics
            ]
            await _created(client.create_topics(fresh))
            return
        except (TooFewBrokers, KafkaException) as error:
            # Brokers of a new cluster register one after another.
            if attempt == 19 or not (isinstance(error, TooFewBrokers) or _passes(error)):
                raise
        await asyncio.sleep(0.25)


async def _created(futures: Mapping[str, Future[None]]) -> None:
    for future in futures.values():
        try:
            await asyncio.wrap_future(future)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _passes(error: KafkaException) -> bool:
    code: KafkaError = error.args[0]
    return code.retriable() or code.code() == KafkaError.INVALID_REPLICATION_FACTOR


async def _replication(client: AdminClient) -> int:
    """How many replicas a topic should have: as many as the brokers give by themselves, or else one on each of up to
    three. A broker that is away counts if any topic has a replica on it. Raises `TooFewBrokers`."""
    seen = await metadata(client)
    named = {node for topic in seen.topics.values() for one in topic.partitions.values() for node in one.replicas}
    resource = ConfigResource(ResourceType.BROKER, str(next(iter(seen.brokers))))
    settings = await settings_of(client, [resource])
    default = int(settings[resource.name]["default.replication.factor"].value or 1)
    wanted = max(default, min(MOST_REPLICAS, len(named | set(seen.brokers))))
    if len(seen.brokers) < wanted:
        raise TooFewBrokers(
            f"{len(seen.brokers)} brokers answer and topics should have {wanted} replicas: start the others first, "
            "or say `--replication`."
        )
    return wanted


def _durability(replication: int) -> dict[str, str]:
    return {"min.insync.replicas": str(max(1, replication - 1))}


async def settings_of(client: AdminClient, resources: list[ConfigResource]) -> dict[str, dict[str, ConfigEntry]]:
    """The settings of each resource, by its name."""
    found = await done(client.describe_configs(resources))
    return {resource.name: entries for resource, entries in found.items()}


async def _correct(client: AdminClient, topics: list[Topic], known: Mapping[str, TopicMetadata]) -> list[str]:
    if not topics:
        return []
    current = await settings_of(client, [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics])
    changes = []
    for topic in topics:
        wanted = topic.config() | _durability(len(known[topic.name].partitions[0].replicas))
        differing = {name: value for name, value in wanted.items() if current[topic.name][name].value != value}
        if differing:
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in differing.items()
            ]
            changes.append(ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries))
    if changes:
        await done(client.incremental_alter_configs(changes))
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
            while await _thin(client, len(nodes), "isrs"):  # noqa: ASYNC110, nobody tells
                await asyncio.sleep(0.25)
    return len(thin)


async def _thin(client: AdminClient, wanted: int, which: str) -> list[tuple[str, int]]:
    """Topics with fewer than the wanted "replicas" or "isrs", and their numbers of partitions."""
    return [
        (name, len(topic.partitions))
        for name, topic in (await metadata(client)).topics.items()
        if any(len(getattr(partition, which)) < wanted for partition in topic.partitions.values())
    ]
