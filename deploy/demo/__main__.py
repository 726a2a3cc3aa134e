"""`python -m deploy.demo [--plan FILE] [--platform URL]`: sells a hall and checks that every service agrees.

Exits with 0 if all agree, 1 if not, 2 if the plan is refused or nothing could be started.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.accounts import Role
from deploy.checks import partner_view
from deploy.commands.accounts import ensure_account, ensure_organisation, gateway_session
from deploy.demo.audit import Audit, audit
from deploy.demo.client import Client, Refused
from deploy.demo.story import BUYERS, SEATS_WANTED, SHORT_SECONDS, Story
from deploy.platform import Platform
from deploy.platform.processes import StartFailed

THEATRE = Path(__file__).parent.parent / "plans" / "theatre.json"
SCHEMAS = Path(__file__).parent.parent.parent / "contracts" / "schemas"
CURRENCY = "UAH"
PRICES = (95000, 65000, 80000, 45000, 25000, 120050)
EMAIL, PASSWORD = "organizer@demo.example", "development-only-demo-password"

console = Console(width=120)


def main(
    plan: Annotated[Path, typer.Option(help="Seating plan in pretix's JSON format")] = THEATRE,
    platform: Annotated[str, typer.Option(help="Gateway of a running platform; without it one is started")] = "",
    email: Annotated[str, typer.Option(envvar="DEMO_EMAIL", help="An organizer of the running platform")] = "",
    password: Annotated[str, typer.Option(envvar="DEMO_PASSWORD", help="Their password")] = "",
    mails: Annotated[str, typer.Option(help="Address of the running platform's mail catcher")] = "",
    seed: Annotated[int | None, typer.Option(help="Repeat a run's choices")] = None,
    keep: Annotated[bool, typer.Option(help="Leave data and logs of the throw-away platform behind")] = False,
) -> None:
    """Sell a hall end to end, with 60 buyers at once, and check that every service agrees."""
    try:
        content = json.loads(plan.read_text())
    except (OSError, ValueError) as error:
        console.print(f"[red]The plan {plan} cannot be read:[/] {error}")
        raise SystemExit(2) from None
    chosen = seed if seed is not None else random.SystemRandom().randrange(10**6)
    try:
        agreed = asyncio.run(_run(content, platform, email, password, mails, chosen, keep))
    except StartFailed as failed:
        console.print(f"[red]{failed}")
        raise SystemExit(2) from None
    except PlanRefused as refused:
        console.print(f"[red]The plan is refused:[/] {refused}")
        raise SystemExit(2) from None
    raise SystemExit(0 if agreed else 1)


class PlanRefused(Exception):
    """The platform does not take the seating plan, and says why."""


async def _run(plan: Any, url: str, email: str, password: str, mails: str, seed: int, keep: bool) -> bool:
    async with AsyncExitStack() as stack:
        bootstrap = ""
        if not url:
            platform = await _throw_away(stack, keep)
            url, mails, bootstrap = platform.gateway, platform.urls["mail"], platform.kafka_bootstrap_servers
            email, password = EMAIL, PASSWORD
        staff = await stack.enter_async_context(Client(url))
        await staff.sign_in(email, password)
        show = await _open_show(staff, plan)
        run = f"{random.SystemRandom().randrange(16**6):06x}"
        story = Story(url, show["show_id"], run, random.Random(seed))
        console.print(f"\n{BUYERS} buyers come at once for about {SEATS_WANTED} seats (seed {seed}) ...")
        started = time.monotonic()
        await story.play(staff)
        console.print(f"All are served after {time.monotonic() - started:.1f} s. What does every service know?")
        result = await audit(staff, story, CURRENCY, mails or None)
        _print(result)
        return result.agrees and _partner_agrees(bootstrap)


async def _throw_away(stack: AsyncExitStack, keep: bool) -> Platform:
    """A platform of its own, on free ports, with an organisation and its organizer."""
    folder = Path(tempfile.mkdtemp(prefix="footlights-demo-"))
    folder.chmod(0o755)
    if keep:
        console.print(f"Data and logs stay in {folder}")
    else:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
    steps: list[str] = []

    def report(part: str, state: str) -> None:
        if state == "ready":
            steps.append(part)
            status.update(f"Starting a platform of its own: {', '.join(steps)} ready")

    with console.status("Starting a platform of its own ...") as status:
        # All buyers share one address here.
        environment = {"gateway": {"RATE_PER_SECOND": "1000", "RATE_BURST": "2000"}}
        platform = await stack.enter_async_context(Platform(folder, service_env=environment, report=report))
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
    return platform


async def _open_show(staff: Client, plan: Any) -> Any:
    try:
        hall = await staff.ask("POST", "/api/ticketing/halls", {"plan": plan})
    except Refused as refused:
        if refused.status == 422:
            raise PlanRefused(refused.problem.get("detail", refused)) from None
        raise
    console.print(f"Hall [b]{hall['name']}[/]: {hall['seats']:,} seats in {len(hall['categories'])} categories")
    zones = [
        {
            "name": category["name"],
            "categories": [category["name"]],
            "price": {"minor": PRICES[number % len(PRICES)], "currency": CURRENCY},
        }
        for number, category in enumerate(category for category in hall["categories"] if category["seats"])
    ]
    show = await staff.ask(
        "POST",
        "/api/ticketing/shows",
        {
            "hall_id": hall["hall_id"],
            "name": "Лісова пісня · Leśna pieśń",
            "starts_at": (datetime.now(UTC) + timedelta(days=30)).isoformat(),
            "currency": CURRENCY,
            "invoice_allowed": True,
            "hold_seconds": SHORT_SECONDS,
            "payment_seconds": SHORT_SECONDS,
            "price_zones": zones,
        },
    )
    await staff.ask("POST", f"/api/ticketing/shows/{show['show_id']}/start-sale")
    table = Table("price zone", "price", title="On sale")
    for zone in zones:
        table.add_row(zone["name"], f"{zone['price']['minor'] / 100:,.2f} {CURRENCY}")
    console.print(table)
    return show


def _partner_agrees(bootstrap: str) -> bool:
    """Reads all topics as a partner would, with the published schemas alone."""
    if not bootstrap:
        return True
    view = partner_view.read(bootstrap, partner_view.Schemas(SCHEMAS))
    total = sum(view.types.values())
    colour = "red" if view.misfits else "green"
    console.print(f"[{colour}]A partner reads {total} events of {len(view.types)} types; {len(view.misfits)} misfits")
    for misfit in view.misfits[:10]:
        console.print(f"  {misfit}")
    return not view.misfits


def _print(result: Audit) -> None:
    table = Table("service", "says", show_lines=True)
    for account in result.accounts:
        table.add_row(account.service, "\n".join(account.lines))
    console.print(table)
    wrong = [finding for finding in result.findings if not finding.agrees]
    for finding in wrong:
        console.print(Text(f"✗ {finding.what}: expected {finding.expected}, found {finding.found}", style="red"))
    if wrong:
        console.print(f"[red]{len(wrong)} of {len(result.findings)} figures do not agree.")
    else:
        console.print(f"[green]All {len(result.findings)} figures agree, to the cent and the seat.")


if __name__ == "__main__":
    typer.run(main)
