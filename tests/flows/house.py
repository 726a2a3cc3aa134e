"""An organisation on the platform and the people who deal with it.

Everything they do goes through the gateway, and what they are told is read in their mailboxes and on their telephones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from contracts.accounts import Role
from tests.flows.people import Person
from tests.flows.stage import Stage
from tests.harness import eventually
from tests.ticketing.plans import plan

CARD = {"number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123"}
A_MARCH = datetime(2094, 3, 8, 17, tzinfo=UTC)


def uah(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "UAH"}


@dataclass
class Order:
    """What a buyer does with one order, and what staff see of it."""

    house: House
    buyer: Person
    id: str
    hold: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    card_page: str = ""

    @property
    def path(self) -> str:
        return f"/api/orders/orders/{self.id}"

    def checkout_form(self, method: str = "card", holders: dict[str, Person] | None = None) -> dict[str, Any]:
        return {
            "quote": self.hold["quote"],
            "customer": self.buyer.contact,
            "participants": [{"seat": seat, **person.contact} for seat, person in (holders or {}).items()],
            "payment_method": method,
            "locale": "uk",
        }

    async def check_out(self, method: str = "card", *, holders: dict[str, Person] | None = None) -> dict[str, Any]:
        """Orders the seats that are held, each for its holder or else for the buyer."""
        return self.started(await self.buyer.post(f"{self.path}/checkout", self.checkout_form(method, holders)))

    def started(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Keeps the way back to the order and to its card page."""
        self.key = answer["order_key"]
        self.card_page = (answer["payment"] or {}).get("redirect_url", "")
        return answer

    async def pay(self) -> None:
        """Fills in the card page and follows it back to the order, as a browser does."""
        http = self.house.platform.http
        async with http.post(self.card_page, data=CARD, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            back = answer.headers["Location"]
        async with http.get(back, headers={"Accept": "text/html"}) as page:
            assert page.status == 200, await page.text()

    async def cancel(self) -> dict[str, Any]:
        answer: dict[str, Any] = await self.house.desk.post(f"{self.path}/cancel", {"reason": "зміна планів"})
        return answer

    async def mark_paid(self) -> None:
        await self.house.desk.post(f"{self.path}/mark-paid", {"reference": "переказ 17"})

    async def card(self) -> dict[str, Any]:
        """The order card as staff see it."""
        answer: dict[str, Any] = await self.house.desk.get(self.path)
        return answer

    async def becomes(self, **expected: Any) -> dict[str, Any]:
        """Staff's card, once it says so."""

        async def check() -> dict[str, Any]:
            status, card = await self.house.desk.ask("GET", self.path)
            assert status == 200, card
            assert {name: card[name] for name in expected} == expected
            return card  # type: ignore[no-any-return]

        return await eventually(check, timeout=30)

    async def history(self) -> list[str]:
        """What has happened, as the card's history says it."""
        answer = await self.house.desk.get(f"{self.path}/history")
        return [entry["what"] for entry in answer["items"]]

    async def tickets(self) -> list[dict[str, Any]]:
        answer = await self.house.desk.get(f"/api/ticketing/orders/{self.id}/tickets")
        return answer["items"]  # type: ignore[no-any-return]

    async def ticketed(self) -> dict[str, Any]:
        """Staff's card, once the order is paid and its tickets are issued."""

        async def check() -> dict[str, Any]:
            card = await self.card()
            assert card["stage"] == "paid", card
            assert card["confirmed_at"], card
            assert all(line["ticket_number"] for line in card["lines"] if line["kind"] == "seat"), card
            return card

        return await eventually(check, timeout=30)

    async def messages(self) -> list[str]:
        """What was written about the order, to whomever: templates, oldest first."""
        listed = await self.house.desk.get(f"/api/notifications/messages?order_id={self.id}")
        return [one["template"] for one in reversed(listed["items"])]

    async def told_so_far(self) -> list[str]:
        """What was written about the order, when everything that has happened to it was heard.

        Staff correct the address, and ask for the order's data until they come to the new one: that change is the
        newest of the order, and of one order all is heard in turn. What staff have asked for is left out.
        """
        elsewhere = self.house.person("Новий Одержувач")
        await self.house.desk.edit(self.path, {"customer": elsewhere.contact})

        async def arrived() -> bool:
            await self.house.desk.ask("POST", f"/api/notifications/orders/{self.id}/resend")
            return bool(self.house.platform.mail.to(elsewhere.email))

        await eventually(arrived, timeout=30, interval=0.3)
        return [template for template in await self.messages() if template != "order_data"]


@dataclass
class House:
    """A theatre that is also a school, with its staff, its show and its people."""

    platform: Stage
    organisation: UUID
    domain: str
    staff_phone: str
    organizer: Person
    desk: Person
    school: Person
    show: dict[str, Any] = field(default_factory=dict)

    @classmethod
    async def open(cls, platform: Stage) -> House:
        """Sets the organisation up, with one person for each kind of work, and starts the sale of a show."""
        slug = f"house-{uuid4().hex[:8]}"
        staff_phone = f"+38044{uuid4().int % 10**7:07}"
        organisation = await platform.organisation(slug, staff_phone=staff_phone)
        domain = f"{slug}.example"

        async def member(*roles: Role) -> Person:
            email = f"{roles[0].value}@{domain}"
            key = await platform.key(email, organisation, *roles)
            return Person(platform, roles[0].value, email, headers={"Authorization": f"Bearer {key}"})

        house = cls(
            platform,
            organisation,
            domain,
            staff_phone,
            organizer=await member(Role.TICKET_ORGANIZER),
            desk=await member(Role.TICKET_DESK),
            school=await member(Role.SCHOOL_STAFF),
        )
        house.show = await house.put_on()
        return house

    def person(self, name: str, phone: str | None = None) -> Person:
        """Somebody whom the platform does not know, with an address of their own."""
        return Person(self.platform, name, f"{uuid4().hex[:10]}@{self.domain}", phone)

    async def put_on(self, name: str = "Лісова пісня", **more: Any) -> dict[str, Any]:
        """A show of twenty seats at 250 UAH, on sale, that may be paid by invoice."""
        hall = await self.organizer.post("/api/ticketing/halls", {"plan": plan()})
        zones = [{"name": "Партер", "price": uah(25_000), "categories": ["Партер"]}]
        body = {
            "hall_id": hall["hall_id"],
            "name": name,
            "starts_at": A_MARCH.isoformat(),
            "currency": "UAH",
            "invoice_allowed": True,
            "price_zones": zones,
            **more,
        }
        show: dict[str, Any] = await self.organizer.post("/api/ticketing/shows", body)
        await self.organizer.post(f"/api/ticketing/shows/{show['show_id']}/start-sale")
        return show

    async def hold(self, buyer: Person, *seats: str, show: dict[str, Any] | None = None) -> Order:
        """Seats that a buyer has chosen in the hall."""
        order = Order(self, buyer, self.new_id())
        path = f"/api/ticketing/shows/{(show or self.show)['show_id']}/holds"
        order.hold = await buyer.post(path, {"hold_id": order.id, "seats": list(seats)})
        return order

    async def bought(
        self, buyer: Person, *seats: str, holders: dict[str, Person] | None = None, show: dict[str, Any] | None = None
    ) -> Order:
        """An order that is paid by card and has its tickets."""
        order = await self.hold(buyer, *seats, show=show)
        await order.check_out(holders=holders)
        await order.pay()
        await order.ticketed()
        return order

    async def offer(self, name: str, kind: str = "course", **more: Any) -> dict[str, Any]:
        """A course or goods in the catalogue."""
        body = {"kind": kind, "sku": uuid4().hex[:8], "name": name, "price": uah(150_000), **more}
        offered: dict[str, Any] = await self.school.post("/api/orders/offers", body)
        return offered

    async def ordered(self, buyer: Person, offer: dict[str, Any], method: str = "card") -> Order:
        """An offer that a buyer has ordered on the site, and not yet paid."""
        order = Order(self, buyer, self.new_id())
        body = {"order_id": order.id, "customer": buyer.contact, "payment_method": method, "locale": "uk"}
        order.started(await buyer.post(f"/api/orders/offers/{offer['offer_id']}/orders", body))
        return order

    async def entered(self, client: Person, offer: dict[str, Any]) -> Order:
        """An order that staff have entered, because the client came another way."""
        first, _, last = client.name.partition(" ")
        customer = {"first_name": first, "last_name": last, "phone": client.phone, "email": client.email}
        body = {"offer_id": offer["offer_id"], "customer": customer, "locale": "uk"}
        card = await self.school.post("/api/orders/orders", body)
        return self.as_order(client, card["id"])

    def as_order(self, buyer: Person, order_id: str) -> Order:
        return Order(self, buyer, order_id)

    @staticmethod
    def new_id() -> str:
        """An id such as a client makes, so that a request sent twice is one thing."""
        return str(uuid7())

    async def seats(self, show: dict[str, Any] | None = None) -> dict[str, str]:
        """The hall as everybody sees it: what is not free."""
        answer = await self.platform.must("GET", f"/api/ticketing/shows/{(show or self.show)['show_id']}/seats")
        return {seat: state for seat, state in answer["seats"].items() if state != "free"}

    async def hall_shows(self, expected: dict[str, str], show: dict[str, Any] | None = None) -> None:
        async def check() -> bool:
            assert await self.seats(show) == expected
            return True

        await eventually(check, timeout=30)

    async def orders(self, query: str) -> list[dict[str, Any]]:
        """Rows of the orders table."""
        answer = await self.desk.get(f"/api/orders/orders?{query}")
        return answer["items"]  # type: ignore[no-any-return]

    def texts(self) -> list[str]:
        """SMS that staff have got by now."""
        return [one["text"] for one in self.platform.sms.messages if one["to"] == self.staff_phone]

    async def staff_texts(self) -> list[str]:
        """SMS that staff got, once there is one."""
        return await eventually(self.texts, timeout=30)
