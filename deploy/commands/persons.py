"""`footlights persons`: gives a person what all services have of them, or removes them from all databases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import phonenumbers
import typer
from pydantic import SecretStr
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.pool import NullPool

from chassis import persons, postgres
from chassis.people import normalise_email, normalise_phone
from chassis.persons import Person, Service
from contracts.topics import NAMES
from deploy.commands.erasures import Erasures, WrongKey
from deploy.commands.surroundings import Surroundings
from services.crm.persons import PERSONS as CRM
from services.gateway.persons import PERSONS as GATEWAY
from services.notifications.persons import PERSONS as NOTIFICATIONS
from services.orders.persons import PERSONS as ORDERS
from services.reporting.persons import PERSONS as REPORTING
from services.ticketing.persons import PERSONS as TICKETING

app = typer.Typer(no_args_is_help=True, help="What is known of a person: give it out, or remove it.")
console = Console(soft_wrap=True)

SERVICES: Mapping[str, Service] = {
    "orders": ORDERS,
    "ticketing": TICKETING,
    "notifications": NOTIFICATIONS,
    "reporting": REPORTING,
    # By these two a person is found: they forget last, so that what was cut off can be repeated.
    "gateway": GATEWAY,
    "crm": CRM,
}

BY_PHONE = text("""
    SELECT DISTINCT coalesce(c.survivor_id, c.id) AS customer_id, o.order_id
    FROM customer c JOIN customer_order o ON o.customer_id = c.id
    WHERE regexp_replace(o.typed_phone, '\\D', '', 'g') = ANY(CAST(:written AS text[]))
       OR c.id IN (SELECT customer_id FROM alias WHERE kind = 'phone' AND value = :phone)
""")

ISO = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]
Who = Annotated[str, typer.Argument(help="E-mail address, phone number with the country's code, or id of an account")]


class CannotErase(Exception):
    """Something with the person is not over, or it is not clear who is meant."""


@dataclass(frozen=True, slots=True)
class Databases:
    """A worker's session in each service's database."""

    engines: Mapping[str, AsyncEngine]

    @contextlib.asynccontextmanager
    async def session(self, service: str) -> AsyncIterator[AsyncSession]:
        async with AsyncSession(self.engines[service]) as session, session.begin():
            yield session


@contextlib.asynccontextmanager
async def databases(urls: Mapping[str, str]) -> AsyncIterator[Databases]:
    engines = {service: postgres.engine(url, poolclass=NullPool, hide_parameters=True) for service, url in urls.items()}
    try:
        yield Databases(engines)
    finally:
        for engine in engines.values():
            await engine.dispose()


async def identify(found: Databases, who: str) -> Person:
    """All that a person is known by. Raises `CannotErase` for a phone that several people have, and for nonsense."""
    return await widened(found, await _named(found, who))


async def widened(found: Databases, person: Person) -> Person:
    """The person with all that they are known by."""
    while True:
        known = person
        for service in ("gateway", "crm", "orders"):
            async with found.session(service) as session:
                person = await persons.find(session, SERVICES[service], person)
        if person == known:
            return person


async def _named(found: Databases, who: str) -> Person:
    if "@" in who:
        if (email := normalise_email(who)) is None:
            raise CannotErase(f"{who} is no e-mail address.")
        return Person(emails=frozenset({email}))
    with contextlib.suppress(ValueError):
        return Person(accounts=frozenset({UUID(who)}))
    phone = normalise_phone(who, "ZZ")
    if phone is None:
        raise CannotErase(f"{who} is neither an e-mail address, nor a phone number with its country's code, nor an id.")
    async with found.session("crm") as session:
        parameters = {"phone": phone, "written": _ways_to_write(phone)}
        rows = (await session.execute(BY_PHONE, parameters)).all()
    if len({row.customer_id for row in rows}) > 1:
        raise CannotErase(f"{who} is the phone of several customers. Name one by e-mail, or merge them first.")
    return Person(orders=frozenset(row.order_id for row in rows))


def _ways_to_write(phone: str) -> list[str]:
    number = phonenumbers.parse(phone, None)
    national = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    digits = phone.removeprefix("+")
    return [digits, f"00{digits}", "".join(filter(str.isdigit, national))]


async def export(found: Databases, who: str) -> dict[str, Any]:
    """What every service has of a person, by service and table."""
    person = await identify(found, who)
    given: dict[str, Any] = {}
    for service, of in SERVICES.items():
        async with found.session(service) as session:
            given[service] = await persons.export(session, of, person)
    return {"person": person.parameters(), "services": {name: rows for name, rows in given.items() if rows}}


async def erase(found: Databases, person: Person, secret: SecretStr) -> dict[str, dict[str, int]]:
    """Removes the person from every database; how many rows it was, by service and table.

    Everything is done twice: a service that has not forgotten yet may have told others of the person meanwhile. May be
    repeated. Raises `CannotErase` when something is not over.
    """
    reasons = await waits(found, person)
    if reasons:
        raise CannotErase("\n".join(reasons))
    done: dict[str, dict[str, int]] = {}
    for _ in range(2):
        for service, of in SERVICES.items():
            async with found.session(service) as session:
                counts = await persons.erase(session, of, person, secret)
            done.setdefault(service, counts)
    return done


async def repeat(found: Databases, persons: Sequence[Person], secret: SecretStr) -> list[tuple[Person, str]]:
    """Erases persons whom a restored backup has brought back; who could not be erased, and why."""
    refused = []
    for person in persons:
        try:
            await erase(found, await widened(found, person), secret)
        except CannotErase as error:
            refused.append((person, str(error)))
    return refused


async def waits(found: Databases, person: Person) -> list[str]:
    """Why the person cannot be erased now."""
    reasons = []
    for service, of in SERVICES.items():
        async with found.session(service) as session:
            for why, until in await persons.waits(session, of, person):
                reasons.append(f"{why}, until {until:%Y-%m-%d %H:%M} UTC" if until else why)
    return sorted(set(reasons))


@app.command("export")
def export_command(who: Who) -> None:
    """Print all that is known of a person, as JSON. It is for that person alone."""
    typer.echo(json.dumps(_run(lambda found: export(found, who)), ensure_ascii=False, indent=1, default=str))


@app.command("erase")
def erase_command(
    who: Who,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, after all that was found is printed")] = False,
) -> None:
    """Remove a person from every database. History and ledger stay, without them. It cannot be undone."""
    secret = _secret()
    person: Person = _run(lambda found: identify(found, who))
    console.print(f"E-mail addresses: {', '.join(sorted(person.emails)) or 'none'}", markup=False)
    console.print(f"Accounts: {len(person.accounts)}, orders: {len(person.orders)}", markup=False)
    if not yes and not typer.confirm("Is all of this one person, to be forgotten for good?"):
        raise typer.Exit(1)
    reasons = _run(lambda found: waits(found, person))
    if not reasons:
        # Before it is done: what is cut off is then repeated, too.
        _noted(Erasures(_file(), secret), person)
    done = _run(lambda found: erase(found, person, secret))
    for service, counts in done.items():
        for table, count in counts.items():
            console.print(f"{service}: {count} of {table}", markup=False)
    console.print(f"Topics keep what was said of them for {NAMES.days} days at most, dead letters for 30.")


@app.command("repeat-erasures")
def repeat_command(
    since: Annotated[datetime, typer.Option(help="When the restored backup was made (UTC)", formats=ISO)],
) -> None:
    """After a backup was restored: erase again whoever was erased since it was made."""
    secret = _secret()
    try:
        listed = Erasures(_file(), secret).since(since.replace(tzinfo=since.tzinfo or UTC))
    except (OSError, WrongKey) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    refused = _run(lambda found: repeat(found, listed, secret))
    console.print(f"{len(listed) - len(refused)} of {len(listed)} erasures repeated.")
    for person, why in refused:
        name = ", ".join(sorted(person.emails)) or ", ".join(map(str, (*person.accounts, *person.orders)))
        console.print(f"{name}: {why}", markup=False)
    raise typer.Exit(bool(refused))


def _file() -> Path:
    surroundings = Surroundings.find()
    if given := os.environ.get("ERASURES_FILE"):
        return Path(given)
    if surroundings.note:
        return surroundings.home.path / "erasures"
    typer.secho("Set ERASURES_FILE to a file that no backup of the databases brings back.", fg="red", err=True)
    raise typer.Exit(1)


def _noted(erasures: Erasures, person: Person) -> None:
    try:
        erasures.note(person)
    except OSError as error:
        typer.secho(f"Nothing was erased, because it cannot be noted: {error}", fg="red", err=True)
        raise typer.Exit(1) from None


def _secret() -> SecretStr:
    surroundings = Surroundings.find()
    known = os.environ.get("ERASURE_KEY") or (surroundings.note and surroundings.home.secrets()["ERASURE_KEY"])
    if not known:
        typer.secho("Set ERASURE_KEY to what the services have.", fg="red", err=True)
        raise typer.Exit(1)
    return SecretStr(known)


def _run(work: Any) -> Any:
    surroundings = Surroundings.find()
    urls = {service: surroundings.database(service) for service in SERVICES}

    async def run() -> Any:
        async with databases(urls) as found:
            return await work(found)

    try:
        return asyncio.run(run())
    except CannotErase as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
