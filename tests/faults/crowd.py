"""Who buys while everything dies. The seed draws everybody's parts beforehand; what they do is the demo's story.

There are two shows. In one, people have the usual time; in the other, holds and unpaid orders live for some seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from deploy.demo.client import CARD, HELD_CARD, Client, Refused
from deploy.demo.people import MOST, Person
from deploy.demo.story import Purchase, Story

DECLINED_CARD, REFUNDED_LATER = "4000000000000002", "4000000000007726"
"""Of the sandbox: one that never pays, and one whose refunds take a second and are told by webhook."""
CARDS = (CARD, CARD, HELD_CARD, REFUNDED_LATER)

Act = Callable[["Crowd", Client, Person, str, random.Random], Awaitable[None]]


class Crowd:
    """Both stories, and the member of staff who serves all of their buyers."""

    def __init__(self, usual: Story, short: Story, staff: Client) -> None:
        self.usual = usual
        self.short = short
        self.staff = staff
        self.played: list[str] = []
        self._numbers = {story.run: itertools.count() for story in (usual, short)}

    async def play(self, part: str, rng: random.Random) -> None:
        """One visit of one buyer."""
        story = self.short if part in SHORT else self.usual
        async with Client(story.gateway) as client:
            await PARTS[part][1](self, client, self.person(story), part, rng)
        self.played.append(part)

    def person(self, story: Story) -> Person:
        return story.person(next(self._numbers[story.run]))

    async def buy(self, client: Client, person: Person, part: str, rng: random.Random) -> Purchase:
        """Pays with some card. Who closes the browser on the card page leaves it to the webhook to tell."""
        purchase = await self.usual.start(client, person, part, self.usual.some(rng.randint(1, MOST)))
        await client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=rng.random() < 0.5)
        purchase.outcome = "paid"
        return purchase

    async def buys(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        await self.buy(client, person, part, rng)

    async def is_declined_first(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        purchase = await self.usual.start(client, person, part, self.usual.some(2))
        await client.pay_by_card(purchase.page, DECLINED_CARD)
        await client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=False)
        purchase.outcome = "paid"

    async def pays_twice(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        await self.usual.pay_twice(client, person, part, self.usual.some(2))

    async def is_refunded(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """By then the money may only be held, and the tickets be on their way."""
        purchase = await self.buy(client, person, part, rng)
        await self._seen_paid(purchase, rng)
        await self.usual.act(self.staff, purchase, "refunds", {"reason": "the buyer fell ill"})
        purchase.outcome = "refunded"

    async def gets_one_seat_refunded(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        purchase = await self.usual.start(client, person, part, self.usual.some(MOST))
        await client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=False)
        order = await self._seen_paid(purchase, rng)
        refund = {"line_ids": [order["lines"][-1]["line_id"]], "reason": "one guest cannot come"}
        await self.usual.act(self.staff, purchase, "refunds", refund)
        purchase.outcome = "one seat refunded"

    async def is_cancelled_when_paid(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        purchase = await self.buy(client, person, part, rng)
        await self._seen_paid(purchase, rng)
        await self.usual.act(self.staff, purchase, "cancel", {"reason": "the stalls are under water"})
        purchase.outcome = "refunded"

    async def _seen_paid(self, purchase: Purchase, rng: random.Random) -> dict[str, Any]:
        """The desk sees the order when it is just paid, or when all tickets have arrived."""
        if rng.random() < 0.4:
            return await self.usual.mailed(self.staff, purchase)
        purchase.in_haste = True
        return await self.usual.until(self.staff, purchase, lambda order: order["stage"] == "paid")

    async def orders_an_invoice(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        await self._invoice(client, person, part)

    async def gets_an_invoice_refunded(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """The desk sends the money back by hand, once the tickets are void."""
        purchase = await self._invoice(client, person, part)
        await self._seen_paid(purchase, rng)
        await self.usual.act(self.staff, purchase, "refunds", {"reason": "the firm is bankrupt"})
        order = await self.usual.until(self.staff, purchase, lambda order: bool(order["refunds"]))
        await self.usual.act(self.staff, purchase, f"refunds/{order['refunds'][0]['refund_id']}/confirm", {})
        purchase.outcome = "refunded"

    async def _invoice(self, client: Client, person: Person, part: str) -> Purchase:
        purchase = await self.usual.start(client, person, part, self.usual.some(2), "invoice")
        await self.usual.act(self.staff, purchase, "mark-paid", {})
        purchase.outcome = "paid"
        return purchase

    async def pays_the_desk_and_by_card(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """In the same moment: one of the two goes back, or the card page is closed in time."""
        purchase = await self.usual.start(client, person, part, self.usual.some(2))
        by_card = client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=False)
        await asyncio.gather(by_card, self.usual.act(self.staff, purchase, "mark-paid", {}))
        purchase.outcome = "paid"

    async def cancels(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        await self.usual.cancel(client, person, part, self.usual.some(2))

    async def cancels_and_pays(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """In two tabs. The card page may be open still: what is paid there goes back."""
        purchase = await self.usual.start(client, person, part, self.usual.some(2))
        body = {"reason": "changed my mind"}
        await self.usual.act(client, purchase, "cancel", body, as_buyer=True)
        await client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=False)
        purchase.outcome = "cancelled"

    async def lets_the_hold_expire(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """Sometimes others wait for the seats."""
        seats = self.short.some(2)
        try:
            purchase, _ = await self.short.hold(client, person, part, seats)
        except Refused as refused:
            _too_late(refused)
            return
        purchase.outcome = "expired"
        if rng.random() < 0.5:
            await self._take(seats)

    async def pays_after_expiry(self, client: Client, person: Person, part: str, rng: random.Random) -> None:
        """The same seats again if they are free, else the money back; sometimes others have them by then."""
        try:
            purchase, held = await self.short.hold(client, person, part, self.short.some(2))
        except Refused as refused:
            _too_late(refused)
            return
        purchase.outcome = "expired"
        try:
            await self.short.checkout(client, purchase, held)
        except Refused as refused:
            _too_late(refused)
            return
        await self.short.until(client, purchase, lambda order: order["stage"] == "cancelled")
        if rng.random() < 0.5:
            await self._take(purchase.seats)
        await client.pay_by_card(purchase.page, rng.choice(CARDS), comes_back=rng.random() < 0.5)
        purchase.outcome = "late"

    async def _take(self, seats: Sequence[str]) -> None:
        """Somebody is waiting for the seats, and pays for them in time or not."""
        async with Client(self.short.gateway) as client:
            taken, held = await self.short.take_over(client, self.person(self.short), seats)
            taken.outcome = "expired"
            try:
                await self.short.checkout(client, taken, held)
            except Refused as refused:
                _too_late(refused)
                return
            await client.pay_by_card(taken.page)
            taken.outcome = "late"


def _too_late(refused: Refused) -> None:
    """While a part is away, some seconds pass."""
    if refused.status != 409:
        raise refused


PARTS: dict[str, tuple[int, Act]] = {
    "buys": (6, Crowd.buys),
    "is declined first": (1, Crowd.is_declined_first),
    "pays twice at once": (2, Crowd.pays_twice),
    "is refunded": (2, Crowd.is_refunded),
    "gets one seat refunded": (2, Crowd.gets_one_seat_refunded),
    "is cancelled when paid": (1, Crowd.is_cancelled_when_paid),
    "orders an invoice": (1, Crowd.orders_an_invoice),
    "gets an invoice refunded": (1, Crowd.gets_an_invoice_refunded),
    "pays the desk and by card": (1, Crowd.pays_the_desk_and_by_card),
    "cancels before paying": (1, Crowd.cancels),
    "cancels and pays": (2, Crowd.cancels_and_pays),
    "lets the hold expire": (2, Crowd.lets_the_hold_expire),
    "pays after expiry": (3, Crowd.pays_after_expiry),
}
"""How often each part is drawn, and how it is played."""
SHORT = {"lets the hold expire", "pays after expiry"}


def draw(rng: random.Random, buyers: int, visits: int) -> list[list[str]]:
    """The parts of each buyer, one a visit. Every part is played in the first visits, if there are buyers enough."""
    names, weights = list(PARTS), [weight for weight, _ in PARTS.values()]
    first = (names + rng.choices(names, weights, k=buyers))[:buyers]
    rng.shuffle(first)
    return [[part, *rng.choices(names, weights, k=visits - 1)] for part in first]
