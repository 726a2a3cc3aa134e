"""What `make up` shows a newcomer: an organisation with a theatre, a show on sale, courses, goods, an account per role.

Loading again adds only what is missing. Everything but the first organisation and its accounts goes through the
public API with a signed-in member of staff, as a client would do it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.accounts import Role
from deploy.demo.client import Client, Refused

ORGANISATION = "theatre"
PLAN = Path(__file__).parent / "plans" / "theatre.json"
BUYER = "buyer@theatre.example"
SHOW = "The Forest Song"
CURRENCY = "UAH"

PEOPLE = {
    Role.ORGANIZER: "Oksana Organizer",
    Role.TICKET_ORGANIZER: "Taras Tickets",
    Role.TICKET_DESK: "Daryna Desk",
    Role.SALES_HEAD: "Halyna Head",
    Role.SALES_MANAGER: "Marko Manager",
    Role.STOREKEEPER: "Stepan Store",
    Role.SCHOOL_STAFF: "Sofiia School",
    Role.PROJECT_HEAD: "Petro Project",
    Role.SUPPORT: "Svitlana Support",
}

ZONES = [
    {"name": "Stalls, front", "categories": ["Stalls, front"], "minor": 95000},
    {"name": "Stalls", "categories": ["Stalls"], "minor": 65000},
    {"name": "Boxes", "categories": ["Boxes"], "minor": 80000},
    {"name": "Dress circle", "categories": ["Dress circle"], "minor": 45000},
    {"name": "Balcony", "categories": ["Balcony"], "minor": 25000},
]

OFFERS = [
    {"kind": "course", "sku": "COURSE-STAGE", "name": "Stage speech in twelve evenings", "minor": 480000},
    {"kind": "course", "sku": "COURSE-LIGHT", "name": "Lighting design for beginners", "minor": 360000},
    {"kind": "goods", "sku": "MUG-01", "name": "Mug with the theatre's curtain", "minor": 32000},
    {"kind": "goods", "sku": "PROGRAMME-01", "name": "Programme of the season", "minor": 9000},
    {"kind": "goods", "sku": "TOTE-01", "name": "Tote bag", "minor": 41000},
]


def address_of(role: Role) -> str:
    """The e-mail address that the account of a role signs in with."""
    return f"{role.value.replace('_', '.')}@theatre.example"


async def load(
    gateway_url: str, gateway_env: Mapping[str, str], secrets: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """Load what is missing; returns an account per role as (role, e-mail, password)."""
    password = secrets["DEMO_PASSWORD"]
    accounts = [(role, address_of(role)) for role in PEOPLE]
    async with Client(gateway_url) as staff:
        organizer = dict(accounts)[Role.ORGANIZER]
        try:
            await staff.sign_in(organizer, password)
        except Refused as refused:
            if refused.status != 401:
                raise
            await _found(gateway_env["DATABASE_WORKER_URL"], accounts, password)
            await staff.sign_in(organizer, password)
        await _show(staff)
        await _offers(staff)
    return [*((role.value, email, password) for role, email in accounts), ("(a buyer)", BUYER, password)]


async def _found(gateway_database: str, accounts: list[tuple[Role, str]], password: str) -> None:
    """The organisation and its accounts, all in one transaction: who can sign in as organizer finds all others."""
    from deploy.commands.accounts import ensure_account, ensure_organisation, gateway_session

    async with gateway_session(gateway_database) as session:
        organisation = await ensure_organisation(
            session,
            ORGANISATION,
            name="Footlights Theatre",
            staff_email="desk@theatre.example",
            currency=CURRENCY,
            locale="uk",
            time_zone="Europe/Kyiv",
            phone_region="UA",
        )
        await ensure_account(session, BUYER, "Bohdan Buyer", password, organisation, [])
        for role, email in accounts:
            await ensure_account(session, email, PEOPLE[role], password, organisation, [role])


async def _show(staff: Client) -> None:
    plan = json.loads(PLAN.read_text())
    halls = (await staff.ask("GET", "/api/ticketing/halls"))["items"]
    hall = next((each for each in halls if each["name"] == plan["name"]), None)
    if hall is None:
        hall = await staff.ask("POST", "/api/ticketing/halls", {"plan": plan})
    shows = (await staff.ask("GET", "/api/ticketing/shows"))["items"]
    if any(each["name"] == SHOW for each in shows):
        return
    evening = (datetime.now(UTC) + timedelta(days=45)).replace(hour=17, minute=0, second=0, microsecond=0)
    zones = [
        {"name": z["name"], "categories": z["categories"], "price": {"minor": z["minor"], "currency": CURRENCY}}
        for z in ZONES
    ]
    show = await staff.ask(
        "POST",
        "/api/ticketing/shows",
        {
            "hall_id": hall["hall_id"],
            "name": SHOW,
            "starts_at": evening.isoformat(),
            "currency": CURRENCY,
            "invoice_allowed": True,
            "price_zones": zones,
        },
    )
    await staff.ask("POST", f"/api/ticketing/shows/{show['show_id']}/start-sale")


async def _offers(staff: Client) -> None:
    listed = (await _patiently(staff, "GET", "/api/orders/offers"))["items"]
    known = {each["sku"] for each in listed}
    for offer in OFFERS:
        if offer["sku"] not in known:
            body = {key: offer[key] for key in ("kind", "sku", "name")}
            price = {"minor": offer["minor"], "currency": CURRENCY}
            await _patiently(staff, "POST", "/api/orders/offers", {**body, "price": price, "invoice_allowed": True})


async def _patiently(staff: Client, method: str, path: str, body: Any = None) -> Any:
    """Orders learns of a new organisation by an event, a moment after it was made."""
    for _ in range(20):
        try:
            return await staff.ask(method, path, body)
        except Refused as error:
            last = error
            await asyncio.sleep(0.25)
    raise last
