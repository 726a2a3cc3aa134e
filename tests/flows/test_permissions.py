"""Every route of every service says who may call it, and means it: each role, nobody, a buyer, another organisation.

All requests go through the gateway, as those of a client do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from chassis.edge import Permission, permissions
from contracts.accounts import Role
from tests.flows.stage import EVERY_ROLE, Stage
from tests.harness import TokenMint

HIDDEN = {"/healthz", "/readyz", "/statusz", "/metrics", "/openapi.json"}
"""Of a service; not reachable through the gateway."""

ON_SALE = {"show_id", "offer_id"}
"""What is sold is there for everybody, whoever sells it: to see, to buy, to wish for."""

NOTHING: dict[str, Any] = {"items": [], "next": None}
PRICE = {"minor": 1, "currency": "UAH"}
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/orders/{order_id}"): {"customer": {"name": "Stolen"}},
    ("POST", "/orders/{order_id}/refunds"): {"reason": "stolen"},
    ("POST", "/orders/{order_id}/refunds/{refund_id}/write-off"): {"reason": "stolen"},
    ("POST", "/orders/{order_id}/payments/by-hand"): {"amount": PRICE, "reference": "stolen"},
    ("POST", "/orders/{order_id}/payments/{payment_id}/reverse"): {"reason": "stolen"},
    ("POST", "/holds/{hold_id}/release"): {"seats": ["1-5"]},
    ("POST", "/orders/{order_id}/notes"): {"text": "stolen"},
    ("PATCH", "/offers/{offer_id}"): {"name": "Stolen"},
    ("PATCH", "/shows/{show_id}"): {"name": "Stolen"},
    ("PUT", "/shows/{show_id}/price-zones"): {"price_zones": []},
    ("POST", "/shows/{show_id}/reopen"): {"starts_at": "2097-01-01T00:00:00Z"},
    ("POST", "/shows/{show_id}/price-zones/assign"): {"seats": ["1-5"], "price": PRICE},
    ("PUT", "/shows/{show_id}/reminder"): {"hours": 0},
    ("PATCH", "/customers/{customer_id}"): {"name": "Stolen"},
    ("PUT", "/customers/{customer_id}/blacklist"): {"reason": "stolen"},
    ("POST", "/customers/{customer_id}/split"): {"order_ids": [str(uuid4())]},
    ("PUT", "/accounts/{account_id}/roles"): {"roles": ["ticket_desk"]},
}
"""What a valid request carries; without it a refusal might only be about the body."""


@dataclass(frozen=True)
class Way:
    """One method of one route."""

    service: str
    method: str
    path: str
    permission: Permission

    def address(self, ids: dict[str, str]) -> str:
        filled = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: ids.get(match[1], str(uuid4())), self.path)
        return filled if self.service == "gateway" else f"/api/{self.service}{filled}"

    @property
    def parameters(self) -> set[str]:
        return set(re.findall(r"\{(\w+)", self.path))

    def __str__(self) -> str:
        return f"{self.method} {self.service} {self.path}"


def ways(platform: Stage) -> Iterator[Way]:
    for service, app in platform.apps.items():
        for route, permission in permissions(app):
            if permission is None or (service != "gateway" and route.path in HIDDEN):
                continue
            for method in sorted(route.methods or ()):
                yield Way(service, method, route.path or "", permission)


@dataclass
class People:
    """API keys, by who has them."""

    organisation: UUID
    roles: dict[Role, str]
    all_roles: str
    buyer: str
    other: str
    """Every role in another organisation."""
    made: dict[str, str]
    """Things of the first organisation, by the name of a path parameter."""


@pytest.fixture(scope="session")
async def people(platform: Stage) -> People:
    ours, theirs = await platform.organisation("permitted"), await platform.organisation("stranger")
    roles = {role: await platform.key(f"{role.value}@permitted.example", ours, role) for role in Role}
    all_roles = await platform.key("all@permitted.example", ours, *EVERY_ROLE)
    made = await platform.sell(all_roles)
    _, listed = await platform.ask("GET", "/accounts", key=all_roles)
    made["account_id"] = listed["items"][0]["id"]
    _, keys = await platform.ask("GET", "/auth/api-keys", key=all_roles)
    made["key_id"] = keys["items"][0]["id"]
    return People(
        organisation=ours,
        roles=roles,
        all_roles=all_roles,
        buyer=await platform.key("buyer@permitted.example"),
        other=await platform.key("all@stranger.example", theirs, *EVERY_ROLE),
        made=made,
    )


async def status_of(platform: Stage, way: Way, ids: dict[str, str], key: str | None) -> tuple[int, Any]:
    headers = {"If-Match": '"v1"', "Idempotency-Key": str(uuid4())}
    body = BODIES.get((way.method, way.path))
    return await platform.ask(way.method, way.address(ids), body, key=key, headers=headers)


def test_every_route_declares_exactly_one_permission(platform: Stage) -> None:
    counted = 0
    for service, app in platform.apps.items():
        for route, permission in permissions(app):  # raises for two
            assert permission is not None or route.path == "/openapi.json", f"{service} {route.path}"
            counted += 1
    assert counted > 70


@pytest.mark.timeout(300)
@pytest.mark.shows("ROL-9", "ROL-14")
async def test_each_role_gets_what_the_permission_says(platform: Stage, people: People) -> None:
    wrong = []
    for way in ways(platform):
        callers: list[tuple[str, str | None, frozenset[Role]]] = [
            ("nobody", None, frozenset()),
            ("a buyer", people.buyer, frozenset()),
            *((role.value, key, frozenset({role})) for role, key in people.roles.items()),
        ]
        for name, key, roles in callers:
            status, body = await status_of(platform, way, {}, key)
            if not _as_declared(way.permission, key is not None, roles, status):
                wrong.append(f"{way} by {name}: {status} {body if isinstance(body, dict) else ''}")
    assert not wrong, "\n".join(wrong)


def _as_declared(permission: Permission, known: bool, roles: frozenset[Role], status: int) -> bool:
    if permission.kind != "public" and not known:
        return status == 401
    if permission.kind == "staff":
        if roles.isdisjoint(permission.roles):
            return status == 403
        return status < 500 and status not in (401, 403)
    return status < 500


@pytest.mark.timeout(300)
@pytest.mark.shows("TKT-5", "SET-10")
async def test_strangers_cannot_touch_what_is_not_theirs(platform: Stage, people: People) -> None:
    before = await _snapshot(platform, people)
    wrong = []
    for way in ways(platform):
        targets = [people.made]
        if "order_id" in way.parameters:
            targets.append(people.made | {"order_id": people.made["waiting_order_id"]})
        on_sale = way.permission.kind != "staff" and way.parameters <= ON_SALE
        if on_sale or not way.parameters & set(people.made):
            continue
        for ids in targets:
            for name, key in (("another organisation", people.other), ("a buyer", people.buyer), ("nobody", None)):
                status, body = await status_of(platform, way, ids, key)
                if not _is_refusal(way, status, body):
                    wrong.append(f"{way} by {name}: {status} {body if isinstance(body, dict) else ''}")
    assert not wrong, "\n".join(wrong)
    for then, now in zip(before, await _snapshot(platform, people), strict=True):
        assert now == then


def _is_refusal(way: Way, status: int, body: Any) -> bool:
    """An empty list under a foreign id is one too: it is what an id that nobody ever used answers."""
    if way.path == "/orders/{order_id}/checkout" and status == 422:
        return True  # the quote is the permission, and there is none
    return status in (401, 403, 404) or (way.method == "GET" and (status, body) == (200, NOTHING))


@pytest.mark.timeout(300)
async def test_lists_hold_nothing_of_another_organisation(platform: Stage, people: People) -> None:
    queries = "?" + "&".join(f"{name}={value}" for name, value in people.made.items())
    for way in ways(platform):
        if way.method != "GET" or way.permission.kind != "staff" or way.parameters:
            continue
        for query in ("", queries):
            status, body = await platform.ask("GET", way.address({}) + query, key=people.other)
            assert status < 500, str(way)
            told = str(body)
            for name, value in people.made.items():
                assert value not in told, f"{way} tells {name}"


@pytest.mark.timeout(300)
async def test_the_organisation_itself_sees_all_of_it(platform: Stage, people: People) -> None:
    """The control: the ids above are real, so a refusal was about the caller."""
    for way in ways(platform):
        if way.method == "GET" and way.permission.kind == "staff" and way.parameters <= set(people.made):
            status, body = await status_of(platform, way, people.made, people.all_roles)
            assert status == 200, f"{way}: {status} {body}"


async def test_a_token_of_another_signer_opens_nothing(platform: Stage, people: People) -> None:
    """Past the gateway: a service checks the signature itself, and headers of a client mean nothing."""
    forged = TokenMint().staff(people.organisation, *EVERY_ROLE)
    for path in ("/api/orders/orders", "/api/crm/customers", "/accounts"):
        headers = {"Authorization": f"Bearer {forged}", "X-Organisation": str(people.organisation)}
        assert (await platform.ask("GET", path, headers=headers))[0] == 401


async def _snapshot(platform: Stage, people: People) -> list[Any]:
    paths = (
        f"/api/orders/orders/{people.made['order_id']}",
        f"/api/orders/orders/{people.made['waiting_order_id']}",
        f"/api/ticketing/shows/{people.made['show_id']}",
        f"/api/crm/customers/{people.made['customer_id']}",
        f"/api/orders/offers/{people.made['offer_id']}",
        f"/api/ticketing/holds/{people.made['hold_id']}",
        "/accounts",
    )
    seen = [await platform.must("GET", path, key=people.all_roles) for path in paths]
    for one in seen:
        one.pop("order_url", None)  # signed anew each time
    return seen
