"""A throw-away organisation, its hall and a show on sale."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.accounts import Role
from deploy.commands.accounts import ensure_account, ensure_organisation, gateway_session
from deploy.demo.client import Client, Refused
from deploy.platform import Platform

THEATRE = Path(__file__).parent.parent / "plans" / "theatre.json"
CURRENCY = "UAH"
PRICES = (95000, 65000, 80000, 45000, 25000, 120050)
EMAIL, PASSWORD = "organizer@demo.example", "development-only-demo-password"
ZONES = 100
"""A hall of more categories gets a zone per price instead of one per category."""
ONE_ADDRESS = {"gateway": {"RATE_PER_SECOND": "1000", "RATE_BURST": "2000"}}
"""Settings for a platform whose buyers all come from this machine."""


class PlanRefused(Exception):
    """The platform does not take the seating plan, and says why."""


def read_plan(plan: Path) -> Any:
    """The JSON in a file, in any of the encodings that JSON may have. Raises `PlanRefused`."""
    try:
        content = plan.read_bytes()
    except OSError as error:
        raise PlanRefused(f"{plan} cannot be read: {error.strerror or error}.") from None
    if not content.strip():
        raise PlanRefused(f"{plan} is empty.")
    try:
        document = json.loads(content, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise PlanRefused(f"{plan} is not text in UTF-8: {error.reason} at byte {error.start}.") from None
    except ValueError as error:
        raise PlanRefused(f"{plan} is not JSON: {error}.") from None
    except RecursionError:
        raise PlanRefused(f"{plan} is nested too deeply.") from None
    if not isinstance(document, dict):
        raise PlanRefused(f"{plan} is not a JSON object in pretix's seating-plan format.")
    return document


def _no_number(name: str) -> None:
    raise ValueError(f"it has {name} for a number")


def scratch(stack: AsyncExitStack, keep: bool = False) -> Path:
    """A folder for a platform, removed at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="footlights-demo-"))
    folder.chmod(0o755)
    if not keep:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def found_organisation(platform: Platform) -> None:
    """An organisation with an organizer, who signs in with `EMAIL` and `PASSWORD`."""
    async with gateway_session(platform.databases["gateway"].worker) as session:
        organisation = await ensure_organisation(
            session,
            "demo",
            name="Demo Theatre",
            staff_email="desk@demo.example",
            currency=CURRENCY,
            locale="uk",
            time_zone="Europe/Kyiv",
            phone_region="UA",
        )
        await ensure_account(session, EMAIL, "Oksana Organizer", PASSWORD, organisation, [Role.ORGANIZER])


async def open_show(
    staff: Client, plan: Any, period_seconds: int | None = None, areas: Sequence[dict[str, Any]] = ()
) -> tuple[Any, Any]:
    """Imports the plan and puts a show on sale, each category at its own price, with `areas` in the first zone. Returns
    hall and show.

    Raises `PlanRefused` with the platform's words.
    """
    try:
        hall = await staff.ask("POST", "/api/ticketing/halls", {"plan": plan})
    except Refused as refused:
        if refused.status in (413, 422):
            raise PlanRefused(refused.problem.get("detail", refused)) from None
        raise
    periods = {"hold_seconds": period_seconds, "payment_seconds": period_seconds} if period_seconds else {}
    zones = price_zones([category["name"] for category in hall["categories"] if category["seats"]])
    zones[0]["areas"] = list(areas)
    show = await staff.ask(
        "POST",
        "/api/ticketing/shows",
        {
            "hall_id": hall["hall_id"],
            "name": "Лісова пісня · Leśna pieśń",
            "starts_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
            "currency": CURRENCY,
            "invoice_allowed": True,
            "price_zones": zones,
            **periods,
        },
    )
    return hall, await staff.ask("POST", f"/api/ticketing/shows/{show['show_id']}/start-sale")


def price_zones(categories: list[str]) -> list[dict[str, Any]]:
    """A zone per category, called like it, as far as names of zones can be any text: not blank, not twice, not long."""
    sold = [[name] for name in categories]
    if len(categories) > ZONES:
        sold = [categories[price :: len(PRICES)] for price in range(len(PRICES))]
    zones: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, members in enumerate(sold):
        name = members[0].strip()[:200] or "No name"
        if len(members) > 1:
            name += f" and {len(members) - 1} more"
        if name in names:
            name += f" ({number + 1})"
        names.add(name)
        price = {"minor": PRICES[number % len(PRICES)], "currency": CURRENCY}
        zones.append({"name": name, "categories": members, "price": price})
    return zones
