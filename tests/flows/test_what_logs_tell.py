"""Names, addresses, numbers, passwords, tokens and cards go through every route, and through its errors: no line of a
log has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from yarl import URL

from services.gateway import forwarding
from tests.flows.house import CARD, House
from tests.flows.marked import Marks, failing, filled, logged, without_protection
from tests.flows.people import PASSWORD, Person
from tests.flows.stage import EVERY_ROLE, Stage
from tests.harness import eventually

ASKED = ("search", "customer", "ticket", "key", "address", "number")
"""Parameters of queries in which people stand."""
NOBODY = "http://127.0.0.1:1"
"""Where no service is."""
UNEXPECTED = '"event": "unexpected error"'


@dataclass
class Walk:
    """Requests to every operation of the merged document, full of marks."""

    platform: Stage
    document: dict[str, Any]
    marks: Marks
    things: dict[str, str]
    """Ids by the name of a path's parameter."""
    key: str
    """Of staff with every role."""
    person: Person
    quote: str

    async def all(self) -> None:
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                for headers in ({"Authorization": f"Bearer {self.key}"}, self.person.headers):
                    await self._one(method.upper(), path, operation, headers)

    async def _one(self, method: str, path: str, operation: dict[str, Any], headers: dict[str, str]) -> None:
        name = f"{method} {path}"
        things = self.things | ({"order_id": self.things["hold_id"]} if path.endswith("/checkout") else {})
        address = re.sub(r"\{(\w+)\}", lambda part: things.get(part[1]) or self._new(part[1], name), path)
        sent, query = dict(headers), []
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "header":
                sent[parameter["name"]] = await self._header(parameter["name"], address, headers, name)
            elif parameter["in"] == "query" and parameter["name"] in ASKED:
                value = filled(self.document, parameter["schema"], self.marks, f"{name} {parameter['name']}")
                query.append(f"{parameter['name']}={value}")
        body = None
        if content := operation.get("requestBody", {}).get("content", {}).get("application/json"):
            body = filled(self.document, content["schema"], self.marks, name)
            if "quote" in body:
                body["quote"] = self.quote
        whole = address + ("?" + "&".join(query) if query else "")
        await self.platform.ask(method, whole, body, headers=sent)

    def _new(self, parameter: str, name: str) -> str:
        return self.marks.secret(f"{name} {parameter}") if parameter == "token" else str(uuid4())

    async def _header(self, header: str, address: str, headers: dict[str, str], name: str) -> str:
        if header.lower() != "if-match":
            return self.marks.secret(f"{name} {header}")
        for thing in (address, address.rpartition("/")[0]):
            async with self.platform.http.get(self.platform.url + thing, headers=headers) as seen:
                if "ETag" in seen.headers:
                    return seen.headers["ETag"]
        return '"v1"'


async def marked(platform: Stage, house: House, marks: Marks) -> Walk:
    """One of everything, all of it marked; mails to the buyer are refused by a server that tells to whom."""
    document = await eventually(lambda: _complete(platform), timeout=40)
    ada = house.person(f"Ada {marks.word('name of the buyer')}", marks.phone("phone of the buyer"))
    ada.email = f"{marks.word('address of the buyer')}@{house.domain}"
    friend = house.person(f"Eva {marks.word('name of a participant')}", marks.phone("phone of a participant"))
    friend.email = f"{marks.word('address of a participant')}@{house.domain}"
    await ada.register(house.organisation)
    order = await house.bought(ada, "1-1", holders={"1-1": friend})
    marks.made |= {order.key: "key of the order", ada.headers["Cookie"].partition("=")[2]: "cookie"}
    marks.made |= {PASSWORD: "password", CARD["number"]: "card", CARD["number"].replace(" ", ""): "card"}
    offer = await house.offer("Режисура", invoice_allowed=True)
    await (await house.ordered(ada, offer, "invoice")).becomes(stage="awaiting_payment")
    held = await house.hold(ada, "1-5")
    for answer in ("451 4.2.1", "550 5.1.1"):
        platform.mail.refuse(1, f"{answer} <{ada.email}> no such user here, {ada.name}")
        await house.desk.post(f"/api/notifications/orders/{order.id}/resend")
    key = await platform.key(f"{uuid4().hex[:8]}@{house.domain}", house.organisation, *EVERY_ROLE)
    marks.made[key] = "API key"
    things = {
        "order_id": order.id,
        "show_id": house.show["show_id"],
        "hall_id": house.show["hall_id"],
        "offer_id": offer["offer_id"],
        "hold_id": held.id,
        "provider": "sandbox",
        "customer_id": await eventually(lambda: _customer(house, ada), timeout=30),
    }
    return Walk(platform, document, marks, things, key, ada, held.hold["quote"])


async def _complete(platform: Stage) -> dict[str, Any]:
    _, merged = await platform.ask("GET", "/openapi.json")
    assert "x-unavailable" not in merged, merged["x-unavailable"]
    return merged


async def _customer(house: House, person: Person) -> str:
    (found,) = (await house.desk.get(f"/api/crm/customers?search={person.email}"))["items"]
    return str(found["customer_id"])


@pytest.mark.timeout(300)
async def test_no_line_names_anybody_or_opens_anything(
    platform: Stage, house: House, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = Marks()
    with logged(platform) as lines:
        walk = await marked(platform, house, marks)
        await walk.all()
        for reads in (True, False):
            await walk.person.sign_in()
            with failing(marks, reads=reads) as failed:
                await walk.all()
                if not reads:
                    await eventually(lambda: '"event": "batch retried"' in lines.getvalue(), timeout=30)
            assert len(failed) > 15
        await walk.person.sign_in()
        monkeypatch.setattr(forwarding, "CONNECT_AGAIN_SECONDS", ())
        monkeypatch.setattr(
            forwarding.Upstream, "url", lambda _, path, query="": URL(f"{NOBODY}{path}?{query}", encoded=True)
        )
        await walk.all()
    told = "".join((lines.getvalue(), *capfd.readouterr()))
    assert told.count(UNEXPECTED) > 30
    assert told.count('"event": "service failed"') > 50
    assert marks.inside(told) == {}


@pytest.mark.parametrize("protection", ["hide_parameters", "filter"])
async def test_without_a_protection_the_lines_tell(
    platform: Stage, house: House, monkeypatch: pytest.MonkeyPatch, protection: str
) -> None:
    """The control: both are needed, and their lack is seen."""
    marks = Marks()
    engines = [one.sync_engine for app in platform.apps.values() for one in (app.state.db.api, app.state.db.worker)]
    without_protection(monkeypatch, engines, protection)
    with logged(platform) as lines, failing(marks, reads=True):
        for _ in range(2):
            assert (await house.desk.ask("GET", f"/api/orders/orders?search={marks.word('name')}"))[0] == 500
    assert marks.inside(lines.getvalue())
