"""A throw-away organisation, its hall and a show on sale."""

from __future__ import annotations

import shutil
import tempfile
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
ONE_ADDRESS = {"gateway": {"RATE_PER_SECOND": "1000", "RATE_BURST": "2000"}}
"""Settings for a platform whose buyers all come from this machine."""


class PlanRefused(Exception):
    """The platform does not take the seating plan, and says why."""


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


async def open_show(staff: Client, plan: Any, period_seconds: int | None = None) -> tuple[Any, Any]:
    """Imports the plan and puts a show on sale, each category at its own price. Returns hall and show.

    Raises `PlanRefused` with the platform's words.
    """
    try:
        hall = await staff.ask("POST", "/api/ticketing/halls", {"plan": plan})
    except Refused as refused:
        if refused.status in (413, 422):
            raise PlanRefused(refused.problem.get("detail", refused)) from None
        raise
    sold = [category["name"] for category in hall["categories"] if category["seats"]]
    zones = [
        {
            "name": name,
            "categories": [name],
            "price": {"minor": PRICES[number % len(PRICES)], "currency": CURRENCY},
        }
        for number, name in enumerate(sold)
    ]
    periods = {"hold_seconds": period_seconds, "payment_seconds": period_seconds} if period_seconds else {}
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
