"""One run: thirty buyers buy until every service was killed once, PostgreSQL and Kafka too; then everything is counted.

The seed decides the order and the moments of the kills and what is bought; the same seed repeats them, but not the
exact interleaving of the processes.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import asyncpg

from chassis import dead_letters
from contracts.topics import CONSUMER_GROUPS
from deploy.demo.audit import Audit, audit
from deploy.demo.client import Client, Refused
from deploy.demo.story import Story
from deploy.demo.venue import CURRENCY, EMAIL, ONE_ADDRESS, PASSWORD, THEATRE, found_organisation, open_show, scratch
from deploy.platform import Platform
from deploy.platform.ports import SERVICES

BUYERS = 30
PURCHASES = 6
"""A buyer buys so often at most, so that a slow machine is not left with mails for minutes."""
PAUSE_SECONDS = (0.3, 1.5)
DRAIN_SECONDS = 300.0

SOLD_TWICE = """
    SELECT count(*) FROM (
        SELECT show_id, seat FROM ticket WHERE voided_at IS NULL GROUP BY show_id, seat HAVING count(*) > 1
    ) AS twice
"""


@dataclass(slots=True)
class Outcome:
    seed: int
    kills: list[str] = field(default_factory=list)
    bought: int = 0
    audit: Audit | None = None
    wrong: list[str] = field(default_factory=list)


async def run(seed: int, say: Callable[[str], None] = print) -> Outcome:
    """Plays one seed on a platform of its own."""
    say(f"seed {seed}")
    outcome, rng = Outcome(seed), random.Random(seed)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform(scratch(stack), service_env=ONE_ADDRESS))
        await found_organisation(platform)
        staff = await stack.enter_async_context(Client(platform.gateway))
        await staff.sign_in(EMAIL, PASSWORD)
        _, show = await open_show(staff, json.loads(THEATRE.read_text()))
        story = Story(platform.gateway, show["show_id"], f"{seed % 16**6:06x}", rng)
        seats = await staff.ask("GET", f"/api/ticketing/shows/{show['show_id']}/seats")
        story.free = list(seats["seats"])
        rng.shuffle(story.free)
        await _storm(platform, story, outcome, rng, say)
        outcome.bought = len(story.purchases)
        outcome.audit = await audit(staff, story, CURRENCY, platform.urls["mail"], DRAIN_SECONDS)
        outcome.wrong = [f"{f.what}: {f.expected} != {f.found}" for f in outcome.audit.findings if not f.agrees]
        outcome.wrong += await _leftovers(platform)
    return outcome


async def _storm(
    platform: Platform, story: Story, outcome: Outcome, rng: random.Random, say: Callable[[str], None]
) -> None:
    over = asyncio.Event()

    async def buyer(number: int) -> None:
        for _ in range(PURCHASES):
            if over.is_set():
                return
            async with Client(platform.gateway) as client:
                try:
                    await story.buy(client, story.person(len(story.purchases)), "buys")
                except Refused as refused:
                    # Somebody's seats: a repeated request of ours may have met its own first attempt.
                    if refused.status != 409:
                        raise
            await asyncio.sleep(rng.uniform(0, 4))

    async with asyncio.TaskGroup() as group:
        for number in range(BUYERS):
            group.create_task(buyer(number))
        victims = [*SERVICES, "postgres", "kafka"]
        rng.shuffle(victims)
        for victim in victims:
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))
            await platform.kill(victim)
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))
            await platform.start(victim)
            outcome.kills.append(victim)
            say(f"  {victim} was killed and is back; {len(story.purchases)} holds so far")
        over.set()


async def _leftovers(platform: Platform) -> list[str]:
    """What must be empty at the end."""
    wrong = []
    for service, urls in platform.databases.items():
        connection = await asyncpg.connect(urls.worker)
        try:
            left = {t: await connection.fetchval(f"SELECT count(*) FROM {t}") for t in ("outbox", "outbox_failed")}
            wrong += [f"{count} rows left in {table} of {service}" for table, count in left.items() if count]
            if service == "ticketing" and (twice := await connection.fetchval(SOLD_TWICE)):
                wrong.append(f"{twice} seats were sold twice")
        finally:
            await connection.close()
    for group in CONSUMER_GROUPS:
        reasons = [letter.reason async for letter in dead_letters.read(group, platform.kafka_bootstrap_servers)]
        wrong += [f"dead letter of {group}: {reason}" for reason in reasons]
    return wrong
