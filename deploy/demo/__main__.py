"""`python -m deploy.demo [--plan FILE] [--platform URL]`: sells a hall and checks that every service agrees.

Exits with 0 if all agree, 1 if not, 2 if the plan is refused or nothing could be started.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.checks import partner_view
from deploy.demo.audit import Audit, audit
from deploy.demo.client import Client
from deploy.demo.story import BUYERS, SEATS_WANTED, SHORT_SECONDS, Story
from deploy.demo.venue import (
    CURRENCY,
    EMAIL,
    ONE_ADDRESS,
    PASSWORD,
    THEATRE,
    PlanRefused,
    found_organisation,
    open_show,
    scratch,
)
from deploy.platform import Platform
from deploy.platform.processes import StartFailed

SCHEMAS = Path(__file__).parent.parent.parent / "contracts" / "schemas"

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


async def _run(plan: Any, url: str, email: str, password: str, mails: str, seed: int, keep: bool) -> bool:
    async with AsyncExitStack() as stack:
        bootstrap = ""
        if not url:
            platform = await _throw_away(stack, keep)
            url, mails, bootstrap = platform.gateway, platform.urls["mail"], platform.kafka_bootstrap_servers
            email, password = EMAIL, PASSWORD
        staff = await stack.enter_async_context(Client(url))
        await staff.sign_in(email, password)
        show = await _put_on_sale(staff, plan)
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
    """A platform of its own that says how far it has come."""
    folder = scratch(stack, keep)
    if keep:
        console.print(f"Data and logs stay in {folder}")
    ready: list[str] = []

    def report(part: str, state: str) -> None:
        if state == "ready":
            ready.append(part)
            status.update(f"Starting a platform of its own: {', '.join(ready)} ready")

    with console.status("Starting a platform of its own ...") as status:
        platform = await stack.enter_async_context(Platform(folder, service_env=ONE_ADDRESS, report=report))
    await found_organisation(platform)
    return platform


async def _put_on_sale(staff: Client, plan: Any) -> Any:
    hall, show = await open_show(staff, plan, SHORT_SECONDS)
    console.print(f"Hall [b]{hall['name']}[/]: {hall['seats']:,} seats in {len(hall['categories'])} categories")
    table = Table("price zone", "price", title="On sale")
    for zone in show["price_zones"]:
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
