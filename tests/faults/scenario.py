"""One run: thirty buyers buy, pay, cancel and are refunded until every service was killed once, PostgreSQL, Kafka, the
card provider and the mail server too, and webhooks come twice, late, in another order or never; then all is counted.

The seed decides who does what, how webhooks arrive, and the order and the moments of the kills; the same seed repeats
them, but not the exact interleaving of the processes.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from deploy.demo.audit import audit
from deploy.demo.client import Client
from deploy.demo.story import Story
from deploy.demo.venue import CURRENCY, EMAIL, ONE_ADDRESS, PASSWORD, THEATRE, found_organisation, open_show, scratch
from deploy.platform import Platform
from deploy.platform.ports import SERVICES
from tests.faults.books import Books
from tests.faults.crowd import Crowd, draw

BUYERS = 30
VISITS = 4
"""A buyer comes so often at most, so that a slow machine is not left with mails for minutes."""
REST_SECONDS = (1, 8)
PAUSE_SECONDS = (0.3, 1.5)
VICTIMS = (*SERVICES, "postgres", "kafka", "sandbox", "mail")
"""All that is ours, and the two outside servers that we depend on: the card provider and the mail server."""
SHORT_SECONDS = 10
"""How long holds and unpaid orders of the second show live."""
DRAIN_SECONDS = 240.0
LOGS = Path("build/faults")
"""Where those of a run that went wrong are kept, by seed."""
SETTINGS = ONE_ADDRESS | {"orders": {"PAYMENT_POLL_SECONDS": "1"}}
"""Lost webhooks are found by polls; in earnest they may take minutes."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    seed: int
    kills: list[str] = field(default_factory=list)
    played: Counter[str] = field(default_factory=Counter)
    """How often each part was played."""
    wrong: list[str] = field(default_factory=list)


async def run(seed: int, say: Say = print, brokers: int = 1) -> Outcome:
    """Plays one seed on a platform of its own."""
    began = time.monotonic()

    def tell(text: str) -> None:
        say(f"{time.monotonic() - began:5.0f} s  {text}")

    tell(f"seed {seed}")
    outcome, rng = Outcome(seed), random.Random(seed)
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(Platform(scratch(stack), brokers=brokers, service_env=SETTINGS))
        await found_organisation(platform)
        staff = await stack.enter_async_context(Client(platform.gateway))
        await staff.sign_in(EMAIL, PASSWORD)
        usual = await _open(staff, seed, 0, None)
        short = await _open(staff, seed, 1, SHORT_SECONDS)
        tell(f"webhooks: {await _mistreat_webhooks(platform, seed, rng)}")
        crowd = Crowd(usual, short, staff)
        await _storm(platform, crowd, outcome, rng, tell)
        outcome.played = Counter(crowd.played)
        tell(f"all buyers are done: {', '.join(f'{part} {n}' for part, n in sorted(outcome.played.items()))}")
        outcome.wrong = await _count(platform, staff, [usual, short], tell)
        if outcome.wrong:
            tell(f"logs of the run: {shutil.copytree(platform.home.logs, LOGS / str(seed), dirs_exist_ok=True)}")
    tell(f"seed {seed}: {len(outcome.wrong)} figures wrong")
    return outcome


async def _open(staff: Client, seed: int, number: int, period_seconds: int | None) -> Story:
    """A show of its own, whose buyers carry a name of their own."""
    _, show = await open_show(staff, json.loads(THEATRE.read_text()), period_seconds)
    name = 0xA00000 + (2 * seed + number) % 0x500000
    story = Story(staff.gateway, show["show_id"], f"{name:06x}", random.Random(seed + number))
    await story.look(staff)
    return story


async def _mistreat_webhooks(platform: Platform, seed: int, rng: random.Random) -> str:
    behaviour = {
        "duplicate": round(rng.uniform(0, 0.5), 2),
        "lose": round(rng.uniform(0, 0.5), 2),
        "reorder": round(rng.uniform(0, 0.5), 2),
        "late": 0.5,
        "delay_seconds": round(rng.uniform(0, 10), 1),
        "seed": seed,
    }
    key = platform.home.secrets()["SANDBOX_API_KEY"]
    url = f"{platform.urls['sandbox']}/v1/behaviour"
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}, raise_for_status=True) as http,
        http.post(url, json=behaviour),
    ):
        return ", ".join(f"{name} {value}" for name, value in behaviour.items())


async def _storm(platform: Platform, crowd: Crowd, outcome: Outcome, rng: random.Random, tell: Say) -> None:
    over = asyncio.Event()

    async def buyer(parts: list[str], mind: random.Random) -> None:
        for part in parts:
            if over.is_set():
                return
            await crowd.play(part, mind)
            await asyncio.sleep(mind.uniform(*REST_SECONDS))

    parts = draw(rng, BUYERS, VISITS)
    minds = [random.Random(rng.random()) for _ in parts]
    victims = rng.sample(VICTIMS, len(VICTIMS))
    async with asyncio.TaskGroup() as group:
        for mine, mind in zip(parts, minds, strict=True):
            group.create_task(buyer(mine, mind))
        for victim in victims:
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))
            await platform.kill(victim)
            await asyncio.sleep(rng.uniform(*PAUSE_SECONDS))
            await platform.start(victim)
            outcome.kills.append(victim)
            tell(f"{victim} was killed and is back; {len(crowd.played)} visits so far")
        over.set()


async def _count(platform: Platform, staff: Client, stories: list[Story], tell: Say) -> list[str]:
    """What is wrong when nothing moves any more, or after `DRAIN_SECONDS`.

    The services are asked once their databases are at rest: asking them all the time would keep them from it.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    async with Books(platform) as books:
        while True:
            figures = 0
            wrong = await books.under_way() or await books.disagreements()
            for story in stories if not wrong else ():
                result = await audit(staff, story, CURRENCY, platform.urls["mail"], patience=0)
                figures += len(result.findings)
                wrong += [f"{f.what}: {f.expected} != {f.found}" for f in result.findings if not f.agrees]
            if not wrong or time.monotonic() > deadline:
                tell(f"{figures} figures of the services compared, and all tickets and payments")
                unnoticed = [f"nobody would notice {what}" for what in await books.unnoticed()] if not wrong else []
                return wrong + unnoticed + await books.dead()
            await asyncio.sleep(1)
