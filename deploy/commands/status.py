"""`footlights status`: what runs, whether it is ready, what waits in outboxes and in Kafka, of any installation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import asyncpg
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table

from chassis import dead_letters, kafka, postgres
from contracts.topics import CONSUMER_GROUPS, all_topics, dead_letter_topic
from deploy.commands.surroundings import Surroundings
from deploy.platform import topics
from deploy.platform.ports import SERVICES

console = Console()

UNKNOWN = "?"
SECONDS = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Something that runs: its process, if that is on this machine, and its address, if it has one."""

    name: str
    process: str = ""
    url: str = ""
    gone: bool = False

    async def health(self) -> str:
        if self.gone:
            return "gone"
        return await _health(self.name, self.url) if self.url else "ok"


def show() -> bool:
    """Print the tables; False when something is not as it should be."""
    found = Surroundings.find()
    parts = list(_here(found) if found.note else _elsewhere())
    if not parts and not found.knows_kafka:
        console.print(
            f"Nothing runs in {found.home.path}. `make up` starts Footlights. Of an installation elsewhere say where "
            "it is: KAFKA_BOOTSTRAP_SERVERS, ORDERS_URL, DATABASE_WORKER_URL_ORDERS and so on."
        )
        return False
    return asyncio.run(_show(found, parts))


def _here(found: Surroundings) -> Iterator[Part]:
    urls: dict[str, str] = found.note.get("urls", {})
    for running in found.home.children():
        alive = running.process() is not None
        yield Part(running.name, str(running.pid) if alive else "-", urls.get(running.name, ""), gone=not alive)


def _elsewhere() -> Iterator[Part]:
    for service in SERVICES:
        if url := os.environ.get(f"{service.upper()}_URL"):
            yield Part(service, url=url.rstrip("/"))


async def _show(found: Surroundings, parts: list[Part]) -> bool:
    processes = Table("Part", "Process", "Address", "Health", title="What runs", title_justify="left")
    answers = await asyncio.gather(*(part.health() for part in parts))
    for part, health in zip(parts, answers, strict=True):
        style = "green" if health == "ok" else "red"
        processes.add_row(part.name, part.process, part.url, f"[{style}]{health}[/]")
    console.print(processes)
    backlog = Table("Group", "Lag", "Dead letters", "Outbox", "Set aside", title="What waits", title_justify="left")
    well = all(answer == "ok" for answer in answers)
    lags: dict[str, str] = {}
    letters: dict[str, str] = {}
    try:
        lags, letters = await _kafka(found.kafka)
    except (KafkaError, KafkaException) as error:
        console.print(f"[red]Kafka: {error}[/]")
        well = False
    for group in CONSUMER_GROUPS:
        outbox, failed = await _outbox(found, group)
        well = well and UNKNOWN not in (outbox, failed)
        backlog.add_row(group, lags.get(group, "-"), letters.get(group, "-"), outbox, failed)
    console.print(backlog)
    return well


async def _health(name: str, url: str) -> str:
    path = "/statusz" if name in SERVICES else "/healthz"
    try:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(url + path) as answer:
            if answer.status == 200:
                return "ok"
            parts: dict[str, str] = (await answer.json(content_type=None)).get("parts", {})
            return ", ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok") or str(answer.status)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        return type(error).__name__


async def _kafka(brokers: kafka.Brokers) -> tuple[dict[str, str], dict[str, str]]:
    """Records not yet handled, and dead letters not yet replayed, by group."""
    async with topics.administration(brokers, timeout=SECONDS) as client:
        counts = {name: len(topic.partitions) for name, topic in (await topics.metadata(client)).topics.items()}
    known = [topic.name for topic in all_topics()]
    partitions = [TopicPartition(name, number) for name in known for number in range(counts.get(name, 0))]
    async with kafka.Consumer(brokers, enable_auto_commit=False) as consumer:
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
    letters = {}
    for group in CONSUMER_GROUPS:
        at = TopicPartition(dead_letter_topic(group).name, 0)
        some = ends.get(at, 0) > starts.get(at, 0)
        waiting = [one async for one in dead_letters.read(group, brokers) if not one.replayed] if some else []
        letters[group] = str(len(waiting))
    return {group: await _lag(brokers, group, ends) for group in CONSUMER_GROUPS}, letters


async def _lag(brokers: kafka.Brokers, group: str, ends: dict[TopicPartition, int]) -> str:
    """Asked by a consumer, which does not join without a subscription: where the group's coordinator is just starting,
    librdkafka's admin client crashes over the same question."""
    async with kafka.Consumer(brokers, group_id=group, enable_auto_commit=False) as consumer:
        try:
            async with asyncio.timeout(SECONDS):
                places = await asyncio.gather(*(consumer.committed(at) for at in ends))
        except TimeoutError:
            return UNKNOWN
    behind = [max(0, end - place) for end, place in zip(ends.values(), places, strict=True) if place is not None]
    return str(sum(behind)) if behind else "-"


async def _outbox(found: Surroundings, service: str) -> tuple[str, str]:
    """Events not yet published, and those that could not be."""
    if not found.knows_database(service):
        return "-", "-"
    try:
        connection = await postgres.connect(found.database(service), timeout=SECONDS)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return UNKNOWN, UNKNOWN
    try:
        return (
            str(await connection.fetchval("SELECT count(*) FROM outbox")),
            str(await connection.fetchval("SELECT count(*) FROM outbox_failed")),
        )
    except asyncpg.PostgresError:
        return UNKNOWN, UNKNOWN
    finally:
        await connection.close()
