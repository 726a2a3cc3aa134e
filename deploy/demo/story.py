"""Sixty buyers at once. Most buy what they like; some get into trouble that the platform must get them out of."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from deploy.demo.client import CARD, HELD_CARD, Client, Refused
from deploy.demo.people import BUYERS, FIGHTERS, MOST, Cast, Person, cast, person

SHORT_SECONDS = 8
"""How long a hold, and an unpaid order, live for the two buyers who let time pass."""
PATIENCE = 180
"""Seconds that anybody waits for what must happen."""
LEADS_TO = {"mark-paid": "paid", "cancel": "cancelled"}
"""What an action is for: where it was reached already, by an attempt without an answer or otherwise, all is well."""


@dataclass(slots=True)
class Purchase:
    """What a buyer knows at the end of the day."""

    person: Person
    part: str
    order_id: UUID
    seats: list[str]
    key: str = ""
    page: str = ""
    outcome: str = ""
    in_haste: bool = False
    """Taken back before its tickets had reached everybody: void tickets are not mailed any more."""


Act = Callable[[Client, Person, str, Sequence[str]], Awaitable[None]]


@dataclass(slots=True)
class Story:
    """The show that is sold, what was bought, and what happened on the way."""

    gateway: str
    show_id: str
    run: str
    rng: random.Random
    free: list[str] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    doubtful: list[Purchase] = field(default_factory=list)
    """Holds that were refused after an attempt without an answer: that one may have been carried out."""
    refusals: int = 0
    turned_away: int = 0

    def person(self, number: int) -> Person:
        return person(number, self.run)

    async def look(self, staff: Client) -> Cast:
        """Finds the free seats. Returns who comes for them."""
        seats = await staff.ask("GET", f"/api/ticketing/shows/{self.show_id}/seats")
        self.free = [seat for seat, state in seats["seats"].items() if state == "free"]
        self.rng.shuffle(self.free)
        return cast(len(self.free))

    async def play(self, staff: Client, cast: Cast) -> None:
        """All buyers at once; returns when each has reached an end.

        The two who let time pass come first, while the show has its short periods; for the crowd it gets usual ones.
        """
        seats = {part: self.some(count) for part, count in cast.seats.items()}
        slow = {"lets the hold expire": self.abandon, "pays after expiry": self.pay_late}
        acts: dict[str, Act] = {
            "pays twice at once": self.pay_twice,
            "is refunded": self.buy_these,
            "gets one seat refunded": self.buy_these,
            "orders an invoice": self.invoice,
            "cancels before paying": self.cancel,
        }
        async with asyncio.TaskGroup() as crowd:
            begun = []
            for number, (part, wait) in enumerate(slow.items()):
                if part in seats:
                    begun.append(asyncio.Event())
                    crowd.create_task(wait(self.person(BUYERS - 1 - number), part, seats[part], begun[-1]))
            for event in begun:
                await event.wait()
            await self._usual_periods(staff)
            roles = [(part, acts[part], seats[part]) for part in seats if part in acts]
            fights = "fights for the same seats"
            roles += [(fights, self.fight, seats[fights])] * FIGHTERS
            roles += [("buys", self.buy_some, [])] * cast.usual
            for number, (part, act, wanted) in enumerate(roles):
                crowd.create_task(self._be(number, part, act, wanted))
        await self._desk(staff)

    async def _usual_periods(self, staff: Client) -> None:
        show = f"/api/ticketing/shows/{self.show_id}"
        seen = (await staff.send("GET", show)).headers["ETag"]
        await staff.ask("PATCH", show, {"hold_seconds": 900, "payment_seconds": 900}, if_match=seen)

    async def _be(self, number: int, part: str, act: Act, seats: list[str]) -> None:
        async with Client(self.gateway) as client:
            await act(client, self.person(number), part, seats)

    def some(self, count: int) -> list[str]:
        """Free seats nobody else of us was sent to."""
        return [self.free.pop() for _ in range(min(count, len(self.free)))]

    async def hold(
        self, client: Client, person: Person, part: str, seats: Sequence[str]
    ) -> tuple[Purchase, dict[str, Any]]:
        """Holds the seats; raises `Refused` when somebody was faster."""
        purchase = Purchase(person, part, uuid7(), list(seats))
        body = {"hold_id": str(purchase.order_id), "seats": purchase.seats}
        try:
            held = await client.ask("POST", f"/api/ticketing/shows/{self.show_id}/holds", body)
        except Refused as refused:
            if refused.repeated:
                self.doubtful.append(purchase)
            raise
        self.purchases.append(purchase)
        return purchase, held

    async def checkout(self, client: Client, purchase: Purchase, held: dict[str, Any], method: str = "card") -> None:
        """Places the order: the first seat for the buyer, every other one for a guest."""
        person = purchase.person
        guests = [
            {"seat": seat, "name": f"Guest {n} of {person.number}", "email": f"guest{n}.{person.email}"}
            for n, seat in enumerate(purchase.seats[1:], start=1)
        ]
        done = await client.ask(
            "POST",
            f"/api/orders/orders/{purchase.order_id}/checkout",
            {
                "quote": held["quote"],
                "customer": {"name": person.name, "email": person.email, "phone": person.phone},
                "participants": guests,
                "payment_method": method,
                "locale": person.locale,
            },
        )
        purchase.key = done["order_key"]
        if done["payment"]:
            purchase.page = done["payment"]["redirect_url"] or await self._card_page(client, purchase)

    async def _card_page(self, client: Client, purchase: Purchase) -> str:
        """The newest card page of an order, where the provider had no answer when it was asked for."""
        answer = await client.send("GET", f"/api/orders/orders/{purchase.order_id}/pay", **_key(purchase))
        return answer.headers["Location"]

    async def start(
        self, client: Client, person: Person, part: str, seats: Sequence[str], method: str = "card"
    ) -> Purchase:
        purchase, held = await self.hold(client, person, part, seats)
        await self.checkout(client, purchase, held, method)
        return purchase

    async def buy(self, client: Client, person: Person, part: str) -> None:
        """Buys what is left; goes home when nothing is."""
        seats = self.some(self.rng.choice((2, 2, MOST, MOST)))
        if seats:
            await self.buy_these(client, person, part, seats)
        else:
            self.turned_away += 1

    async def buy_some(self, client: Client, person: Person, part: str, _: Sequence[str]) -> None:
        await self.buy(client, person, part)

    async def buy_these(self, client: Client, person: Person, part: str, seats: Sequence[str]) -> None:
        """A bank may only hold the money: it is received when the tickets exist."""
        card = HELD_CARD if part == "gets one seat refunded" else CARD
        purchase = await self.start(client, person, part, seats)
        await client.pay_by_card(purchase.page, card)
        purchase.outcome = "paid"

    async def fight(self, client: Client, person: Person, part: str, seats: Sequence[str]) -> None:
        try:
            purchase, held = await self.hold(client, person, part, seats)
        except Refused as refused:
            if refused.status != 409:
                raise
            self.refusals += 1
            await self.buy(client, person, part)
            return
        await self.checkout(client, purchase, held)
        await client.pay_by_card(purchase.page)
        purchase.outcome = "paid"

    async def abandon(self, person: Person, part: str, seats: Sequence[str], begun: asyncio.Event) -> None:
        """Another buyer gets the seats as soon as the hold has expired."""
        async with Client(self.gateway) as client:
            purchase, _ = await self.hold(client, person, part, seats)
            purchase.outcome = "expired"
            begun.set()
            taken, held = await self.take_over(client, self.person(BUYERS), purchase.seats)
            await self.checkout(client, taken, held)
            await client.pay_by_card(taken.page)
            taken.outcome = "paid"

    async def take_over(self, client: Client, taker: Person, seats: Sequence[str]) -> tuple[Purchase, dict[str, Any]]:
        """Holds the seats as soon as nobody else does."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    return await self.hold(client, taker, "takes over an expired hold", seats)
                except Refused as refused:
                    if refused.status != 409:
                        raise
                    await asyncio.sleep(0.5)

    async def pay_twice(self, client: Client, person: Person, part: str, seats: Sequence[str]) -> None:
        """Two tabs, two card pages, both paid in the same moment: one payment too many must go back."""
        purchase = await self.start(client, person, part, seats)
        second = await client.ask("POST", f"/api/orders/orders/{purchase.order_id}/payments", order_key=purchase.key)
        page = second["redirect_url"] or await self._card_page(client, purchase)
        await asyncio.gather(client.pay_by_card(purchase.page), client.pay_by_card(page))
        purchase.outcome = "paid"

    async def pay_late(self, person: Person, part: str, seats: Sequence[str], begun: asyncio.Event) -> None:
        """The order has expired while the card page was open: same seats again if free, else the money back."""
        async with Client(self.gateway) as client:
            purchase = await self.start(client, person, part, seats)
            begun.set()
            await self.until(client, purchase, lambda order: order["stage"] == "cancelled")
            await client.pay_by_card(purchase.page)
            purchase.outcome = "late"

    async def invoice(self, client: Client, person: Person, part: str, seats: Sequence[str]) -> None:
        purchase = await self.start(client, person, part, seats, "invoice")
        purchase.outcome = "invoice"

    async def cancel(self, client: Client, person: Person, part: str, seats: Sequence[str]) -> None:
        purchase = await self.start(client, person, part, seats)
        await self.act(client, purchase, "cancel", {"reason": "changed my mind"}, as_buyer=True)
        purchase.outcome = "cancelled"

    async def _desk(self, staff: Client) -> None:
        """The ticket desk accepts the invoice's money, and refunds one order and one seat."""
        for purchase in list(self.purchases):
            if purchase.part == "orders an invoice":
                await self.act(staff, purchase, "mark-paid", {})
                purchase.outcome = "paid"
            elif purchase.part == "is refunded":
                await self.mailed(staff, purchase)
                await self.act(staff, purchase, "refunds", {"reason": "the buyer fell ill"})
                purchase.outcome = "refunded"
            elif purchase.part == "gets one seat refunded":
                order = await self.mailed(staff, purchase)
                line = order["lines"][-1]["line_id"]
                await self.act(staff, purchase, "refunds", {"line_ids": [line], "reason": "one guest cannot come"})
                purchase.outcome = "one seat refunded"

    async def act(
        self, client: Client, purchase: Purchase, action: str, body: dict[str, Any], *, as_buyer: bool = False
    ) -> None:
        """An action on the version of the order just seen, again when it has changed meanwhile; by staff as a rule."""
        path, key = f"/api/orders/orders/{purchase.order_id}", _key(purchase) if as_buyer else {}
        while True:
            seen = await client.ask("GET", path, **key)
            try:
                await client.ask(
                    "POST",
                    f"{path}/{action}",
                    body,
                    if_match=f'"v{seen["version"]}"',
                    idempotency_key=f"{purchase.order_id}-{action}-v{seen['version']}",
                    **key,
                )
                return
            except Refused as refused:
                if refused.status == 412:
                    continue
                if refused.status == 409 and (await client.ask("GET", path, **key))["stage"] == LEADS_TO.get(action):
                    return
                raise

    async def mailed(self, staff: Client, purchase: Purchase) -> dict[str, Any]:
        """The order once its tickets have reached everybody: tickets that become void before are not mailed."""
        order = await self.until(staff, purchase, _confirmed)
        path = f"/api/notifications/messages?order_id={purchase.order_id}&template=tickets_issued"
        async with asyncio.timeout(PATIENCE):
            while True:
                if {mail["status"] for mail in (await staff.ask("GET", path))["items"]} == {"sent"}:
                    return order
                await asyncio.sleep(0.5)

    async def until(
        self, client: Client, purchase: Purchase, reached: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """The order once it has come so far."""
        async with asyncio.timeout(seconds):
            while True:
                path = f"/api/orders/orders/{purchase.order_id}"
                order: dict[str, Any] = await client.ask("GET", path, **_key(purchase))
                if reached(order):
                    return order
                await asyncio.sleep(0.25)


def _confirmed(order: dict[str, Any]) -> bool:
    return order["confirmed_at"] is not None


def _key(purchase: Purchase) -> dict[str, str]:
    return {"order_key": purchase.key} if purchase.key else {}
