"""An on-sale during which Kafka is away for much longer than seats are held and orders may wait for their money.

Orders and ticketing cannot hear of each other meanwhile: seats are held, ordered and paid, and rivals ask for the same
seats all the time. Whoever paid in time must have them in the end. By hand with ten real minutes:
`python -m tests.faults.outage 600`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import typer
from uuid_utils.compat import uuid7

from deploy.demo.client import Client, Refused
from deploy.demo.venue import EMAIL, ONE_ADDRESS, PASSWORD, found_organisation, open_show, scratch
from deploy.platform import Platform
from tests.ticketing.plans import plan

BUYERS = 8
DRAIN_SECONDS = 120.0


@dataclass(slots=True)
class Purchase:
    order_id: str
    key: str
    seats: list[str]


@dataclass(slots=True)
class Outcome:
    paid: list[Purchase] = field(default_factory=list)
    """Those whose order was told to be paid before its time was over."""
    refused: int = 0
    """How often seats were asked for that somebody else had."""
    lost: list[str] = field(default_factory=list)


async def run(seconds: float, period_seconds: int, say: Callable[[str], None] = print) -> Outcome:
    """Kafka is away for so long; seats are held, and orders wait for their money, for `period_seconds`."""
    outcome = Outcome()
    settings = ONE_ADDRESS | {"ticketing": {"PAYMENT_BUFFER_SECONDS": "0", "ADDRESS_MAX_SEATS": "0"}}
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(
            Platform(scratch(stack), service_env=settings, services=("gateway", "ticketing", "orders"))
        )
        await found_organisation(platform)
        staff = await stack.enter_async_context(Client(platform.gateway))
        await staff.sign_in(EMAIL, PASSWORD)
        # So few seats that most of those who come late ask for seats of somebody else.
        _, show = await open_show(staff, plan(4, BUYERS), period_seconds)
        seats = list((await staff.ask("GET", f"/api/ticketing/shows/{show['show_id']}/seats"))["seats"])
        await platform.kill("kafka")
        say(f"Kafka is away, {len(seats)} seats are on sale for {period_seconds} s at a time")
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as crowd:
            for number in range(BUYERS):
                mind = random.Random(number)
                buyer = _buyer(platform.gateway, show["show_id"], seats, until, period_seconds / 30, mind, outcome)
                crowd.create_task(buyer)
        await platform.start("kafka")
        say(f"Kafka is back after {seconds:.0f} s; {len(outcome.paid)} paid, {outcome.refused} were refused")
        outcome.lost = await _lost(platform.gateway, outcome)
        say(f"{len(outcome.lost)} lost their seats")
    return outcome


async def _buyer(
    gateway: str, show: str, seats: list[str], until: float, pause: float, mind: random.Random, outcome: Outcome
) -> None:
    """Wants some seats again and again, every `pause` seconds: pays, or leaves them."""
    async with Client(gateway) as client:
        while time.monotonic() < until:
            wanted = mind.sample(seats, mind.randint(1, 2))
            order = str(uuid7())
            try:
                held = await client.ask(
                    "POST", f"/api/ticketing/shows/{show}/holds", {"hold_id": order, "seats": wanted}
                )
            except Refused:
                outcome.refused += 1
                await asyncio.sleep(pause)
                continue
            if mind.random() < 0.5:
                await _buy(client, order, held, wanted, outcome)


async def _buy(client: Client, order: str, held: dict[str, str], seats: list[str], outcome: Outcome) -> None:
    path = f"/api/orders/orders/{order}"
    customer = {"name": "Olena", "email": "olena@example.com"}
    try:
        placed = await client.ask("POST", f"{path}/checkout", {"quote": held["quote"], "customer": customer})
    except Refused:
        return  # so slow that the hold was over
    await client.pay_by_card(placed["payment"]["redirect_url"])
    seen = await client.ask("GET", path, order_key=placed["order_key"])
    if seen["stage"] == "paid" and seen["cancelled_at"] is None:
        outcome.paid.append(Purchase(order, placed["order_key"], seats))


async def _lost(gateway: str, outcome: Outcome) -> list[str]:
    """What is wrong with the orders that were paid, when each has its tickets or never will."""
    wrong = []
    owners: dict[str, str] = {}
    async with Client(gateway) as client:
        deadline = time.monotonic() + DRAIN_SECONDS
        for purchase in outcome.paid:
            while True:
                path = f"/api/orders/orders/{purchase.order_id}"
                seen = await client.ask("GET", path, order_key=purchase.key)
                if seen["confirmed_at"] or seen["stage"] != "paid" or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.2)
            if seen["stage"] != "paid" or not all(line["ticket_number"] for line in seen["lines"]):
                wrong.append(f"{purchase.order_id} ({purchase.seats}): {seen['stage']} {seen['cancel_reason']}")
            first = {seat: owners.setdefault(seat, purchase.order_id) for seat in purchase.seats}
            wrong += [f"{seat} was paid twice" for seat, owner in first.items() if owner != purchase.order_id]
    return wrong


def main(seconds: float = 600, period_seconds: int = 60) -> None:
    outcome = asyncio.run(run(seconds, period_seconds))
    for line in outcome.lost:
        typer.echo(f"  ✗ {line}")
    raise SystemExit(bool(outcome.lost) or not outcome.paid)


if __name__ == "__main__":
    typer.run(main)
