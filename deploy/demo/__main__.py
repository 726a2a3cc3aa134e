"""`python -m deploy.demo [--plan FILE] [--platform URL]`: sells a hall and checks that every service agrees.

Exits with 0 if all agree, 1 if not, 2 if the plan is refused or nothing could be started.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.checks import partner_view
from deploy.demo.audit import Audit, audit
from deploy.demo.client import Client, Refused
from deploy.demo.people import BUYERS, Cast, name_of_run
from deploy.demo.running import NotUsable, find, sign_in
from deploy.demo.story import SHORT_SECONDS, Story
from deploy.demo.venue import (
    CURRENCY,
    EMAIL,
    ONE_ADDRESS,
    PASSWORD,
    THEATRE,
    PlanRefused,
    found_organisation,
    open_show,
    read_plan,
    scratch,
)
from deploy.platform import Platform
from deploy.platform.processes import StartFailed, first_cause

SCHEMAS = Path(__file__).parent.parent.parent / "contracts" / "schemas"

SHOWN = 30
"""Price zones that are printed."""

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
    chosen = seed if seed is not None else random.SystemRandom().randrange(10**6)
    try:
        agreed = asyncio.run(_run(read_plan(plan), platform, email, password, mails, chosen, keep))
    except (PlanRefused, NotUsable, StartFailed) as reason:
        _complain(reason)
        raise SystemExit(2) from None
    except (Refused, aiohttp.ClientError, TimeoutError, ExceptionGroup) as reason:
        cause = first_cause(reason)
        if not isinstance(cause, Refused | aiohttp.ClientError | TimeoutError):
            raise
        console.print(Text(f"The sale broke off: {str(cause) or 'something took too long'}", style="red"))
        raise SystemExit(1) from None
    raise SystemExit(0 if agreed else 1)


def _complain(reason: Exception) -> None:
    what = "The plan is refused: " if isinstance(reason, PlanRefused) else ""
    console.print(Text.assemble((what, "red bold"), (str(reason), "red")), soft_wrap=True)
    if isinstance(reason, StartFailed) and reason.remedy:
        console.print(Text(f"Remedy: {reason.remedy}"))


async def _run(plan: Any, url: str, email: str, password: str, mails: str, seed: int, keep: bool) -> bool:
    async with AsyncExitStack() as stack:
        bootstrap = ""
        if url:
            running = await find(url, email, password, mails)
            url, email, password, mails = running.gateway, running.email, running.password, running.mails
        else:
            platform = await _throw_away(stack, keep)
            url, mails, bootstrap = platform.gateway, platform.urls["mail"], platform.kafka_bootstrap_servers
            email, password = EMAIL, PASSWORD
        staff = await stack.enter_async_context(Client(url))
        await sign_in(staff, email, password)
        show = await _put_on_sale(staff, plan)
        story = Story(url, show["show_id"], name_of_run(), random.Random(seed))
        cast = await story.look(staff)
        _announce(cast, len(story.free), seed)
        started = time.monotonic()
        await story.play(staff, cast)
        console.print(f"All are served after {time.monotonic() - started:.1f} s. What does every service know?")
        if story.turned_away:
            console.print(f"{story.turned_away} of them went home, because nothing was left.")
        result = await audit(staff, story, CURRENCY, mails or None)
        _print(result)
        return result.agrees and _partner_agrees(bootstrap)


def _announce(cast: Cast, free: int, seed: int) -> None:
    console.print(f"\n{cast.buyers} buyers come at once for about {_count(cast.wanted, 'seat')} (seed {seed}) ...")
    if cast.buyers < BUYERS:
        console.print(f"In a hall of {_count(free, 'seat')} there is no room for the usual {BUYERS}.")
    if cast.left_out:
        console.print(f"There are too few seats for a buyer who {', or '.join(cast.left_out)}.")


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
    sizes = f"{_count(hall['seats'], 'seat')} in {_count(len(hall['categories']), 'category', 'categories')}"
    console.print(Text.assemble("Hall ", (hall["name"], "bold"), f": {sizes}"))
    table = Table("price zone", "price", title="On sale")
    zones = show["price_zones"]
    for zone in zones[:SHOWN]:
        table.add_row(Text(zone["name"]), f"{zone['price']['minor'] / 100:,.2f} {CURRENCY}")
    if len(zones) > SHOWN:
        table.add_row(f"and {len(zones) - SHOWN} more", "")
    console.print(table)
    return show


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _partner_agrees(bootstrap: str) -> bool:
    """Reads all topics as a partner would, with the published schemas alone."""
    if not bootstrap:
        return True
    view = partner_view.read(bootstrap, partner_view.Schemas(SCHEMAS))
    total = sum(view.types.values())
    colour = "red" if view.misfits else "green"
    console.print(f"[{colour}]A partner reads {total} events of {len(view.types)} types; {len(view.misfits)} misfits")
    for misfit in view.misfits[:10]:
        console.print(Text(f"  {misfit}"))
    return not view.misfits


def _print(result: Audit) -> None:
    table = Table("service", "says", show_lines=True)
    for account in result.accounts:
        table.add_row(account.service, Text("\n".join(account.lines)))
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
