"""`footlights status`: what runs, whether it is ready, what waits in outboxes and in Kafka."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from chassis import dead_letters
from contracts.topics import CONSUMER_GROUPS, all_topics, dead_letter_topic
from deploy.commands.surroundings import Surroundings
from deploy.platform import topics
from deploy.platform.ports import SERVICES

console = Console()


def show() -> bool:
    """Print the tables; False when something is not as it should be."""
    found = Surroundings.find()
    if not found.note:
        console.print(f"Nothing runs in {found.home.path}. `make up` starts Footlights.")
        return False
    return asyncio.run(_show(found))


async def _show(found: Surroundings) -> bool:
    processes = Table("Part", "Process", "Address", "Health", title="What runs", title_justify="left")
    urls: dict[str, str] = found.note.get("urls", {})
    good = True
    for running in found.home.children():
        alive = running.process() is not None
        health = await _health(running.name, urls) if running.name in urls and alive else ("ok" if alive else "gone")
        good = good and health == "ok"
        style = "green" if health == "ok" else "red"
        processes.add_row(
            running.name, str(running.pid) if alive else "-", urls.get(running.name, ""), f"[{style}]{health}[/]"
        )
    console.print(processes)
    backlog = Table("Group", "Lag", "Dead letters", "Outbox", "Set aside", title="What waits", title_justify="left")
    lags, letters = await _kafka(found.kafka)
    for group in CONSUMER_GROUPS:
        outbox, failed = await _outbox(found, group)
        backlog.add_row(group, lags.get(group, "-"), letters.get(group, "-"), outbox, failed)
    console.print(backlog)
    return good


async def _health(name: str, urls: dict[str, str]) -> str:
    path = "/readyz" if name in SERVICES else "/healthz"
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as client, client.get(urls[name] + path) as answer:
            if answer.status == 200:
                return "ok"
            parts: dict[str, str] = (await answer.json()).get("parts", {})
            return ", ".join(f"{part}: {state}" for part, state in parts.items() if state != "ok") or str(answer.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


async def _kafka(bootstrap_servers: str) -> tuple[dict[str, str], dict[str, str]]:
    """Records not yet handled, and dead letters not yet replayed, by group."""
    try:
        counts = await topics.partitions(bootstrap_servers)
    except KafkaError:
        return {}, {}
    known = [topic.name for topic in all_topics()]
    partitions = [TopicPartition(name, number) for name in known for number in range(counts.get(name, 0))]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
    finally:
        await consumer.stop()
    letters = {}
    for group in CONSUMER_GROUPS:
        at = TopicPartition(dead_letter_topic(group).name, 0)
        some = ends.get(at, 0) > starts.get(at, 0)
        waiting = [one async for one in dead_letters.read(group, bootstrap_servers) if not one.replayed] if some else []
        letters[group] = str(len(waiting))
    lags: dict[str, str] = {}
    async with topics.administration(bootstrap_servers) as client:
        for group in CONSUMER_GROUPS:
            with contextlib.suppress(KafkaError):
                lags[group] = _lag(await client.list_consumer_group_offsets(group), ends)
    return lags, letters


def _lag(committed: dict[TopicPartition, Any], ends: dict[TopicPartition, int]) -> str:
    if not committed:
        return "-"
    return str(sum(max(0, ends.get(at, 0) - max(0, place.offset)) for at, place in committed.items()))


async def _outbox(found: Surroundings, service: str) -> tuple[str, str]:
    """Events not yet published, and those that could not be."""
    if not found.knows_database(service):
        return "-", "-"
    try:
        connection = await asyncpg.connect(found.database(service), timeout=5)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return "?", "?"
    try:
        return (
            str(await connection.fetchval("SELECT count(*) FROM outbox")),
            str(await connection.fetchval("SELECT count(*) FROM outbox_failed")),
        )
    except asyncpg.PostgresError:
        return "?", "?"
    finally:
        await connection.close()
