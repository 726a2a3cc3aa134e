"""`footlights accounts`: organisations and accounts, through the gateway's own functions and its database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from chassis.db import Database
from chassis.problems import Problem
from contracts.accounts import Role
from deploy.commands.surroundings import Surroundings
from services.gateway import accounts as gateway
from services.gateway import passwords
from services.gateway.models import Account, Organisation
from services.gateway.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Organisations, and accounts of their staff and of buyers.")
console = Console()

Email = Annotated[str, typer.Argument(help="The person's e-mail address")]


@contextlib.asynccontextmanager
async def gateway_session(worker_url: str) -> AsyncIterator[AsyncSession]:
    """A transaction in the gateway's database; the gateway's relay publishes its events."""
    db = Database(Settings(database_worker_url=worker_url, database_api_url=worker_url))
    try:
        async with db.as_worker() as session:
            yield session
    finally:
        await db.close()


@app.command("create-organisation")
def create_organisation(
    slug: Annotated[str, typer.Argument(help="Short name in addresses, such as opera-lviv")],
    name: Annotated[str, typer.Argument(help="Name that buyers read")],
    staff_email: Annotated[str, typer.Option(help="Where staff are written to about new orders")],
    currency: str = "UAH",
    locale: str = "uk",
    time_zone: str = "Europe/Kyiv",
    phone_region: str = "UA",
) -> None:
    """Create an organisation with its own back office."""

    async def work(session: AsyncSession) -> None:
        made = await gateway.create_organisation(
            session,
            slug=slug,
            name=name,
            staff_email=staff_email,
            currency=currency,
            locale=locale,
            time_zone=time_zone,
            phone_region=phone_region,
        )
        console.print(f"Created {made.name}, id {made.id}")

    _run(work)


@app.command("change-organisation")
def change_organisation(
    organisation: Annotated[str, typer.Argument(help="Id or slug")],
    name: str | None = None,
    staff_email: str | None = None,
    currency: str | None = None,
    locale: str | None = None,
    time_zone: str | None = None,
    phone_region: str | None = None,
) -> None:
    """Correct settings of an organisation; every service learns the new ones. What is left out stays."""
    given = {
        "name": name,
        "staff_email": staff_email,
        "currency": currency,
        "locale": locale,
        "time_zone": time_zone,
        "phone_region": phone_region,
    }

    async def work(session: AsyncSession) -> None:
        found = await gateway.find_organisation(session, organisation)
        wanted = {column: value for column, value in given.items() if value is not None}
        await gateway.change_organisation(session, found.id, found.version, **wanted)
        console.print(f"Changed {', '.join(wanted) or 'nothing'} of {found.name}")

    _run(work)


@app.command("create")
def create(
    email: Email,
    name: Annotated[str, typer.Option(help="The person's name")],
    organisation: Annotated[str, typer.Option(help="Id or slug; without it the account is a buyer's")] = "",
    role: Annotated[list[Role] | None, typer.Option(help="May be given several times")] = None,
    locale: str = "uk",
) -> None:
    """Create an account with a one-time password, or give roles to the one that exists.

    Its address counts as the person's: whoever runs the platform vouches for it.
    """

    async def work(session: AsyncSession) -> None:
        memberships = {}
        if organisation:
            memberships = {(await gateway.find_organisation(session, organisation)).id: role or []}
        account = await gateway.find_account(session, email, lock=True)
        if account is not None:
            for id, roles in memberships.items():
                await gateway.set_roles(session, account, id, roles)
            console.print(f"{email} had an account already; the roles are {', '.join(role or []) or 'unchanged'}")
            return
        password = passwords.one_time_password()
        await gateway.create_account(
            session,
            email=email,
            name=name,
            password=password,
            one_time=bool(memberships),
            locale=locale,
            memberships=memberships,
            made_by=next(iter(memberships), None),
            verified=True,
        )
        console.print(f"Created {email}. Password: [bold]{password}[/]")

    if bool(organisation) != bool(role):
        raise typer.BadParameter("--organisation and --role belong together")
    _run(work)


@app.command("list")
def list_accounts(organisation: Annotated[str, typer.Option(help="Id or slug")] = "") -> None:
    """Accounts with their roles, staff only when an organisation is given."""

    async def work(session: AsyncSession) -> None:
        slugs = {row.id: row.slug for row in await session.scalars(select(Organisation))}
        wanted = (await gateway.find_organisation(session, organisation)).id if organisation else None
        found = await session.scalars(
            select(Account).options(selectinload(Account.memberships)).order_by(Account.email)
        )
        table = Table("E-mail", "Name", "Roles")
        for account in found:
            roles = [f"{slugs.get(m.organisation)}: {', '.join(m.roles)}" for m in account.memberships]
            if wanted is None or any(m.organisation == wanted for m in account.memberships):
                table.add_row(account.email, account.name, "; ".join(roles) or "buyer")
        console.print(table)

    _run(work)


@app.command("reset-password")
def reset_password(email: Email) -> None:
    """Give a one-time password, and end the account's sessions and API keys."""

    async def work(session: AsyncSession) -> None:
        account = await gateway.find_account(session, email, lock=True)
        if account is None:
            typer.secho(f"There is no account {email}.", fg="red", err=True)
            raise typer.Exit(1)
        password = passwords.one_time_password()
        await gateway.set_password(session, account, await passwords.hash_password(password), one_time=True)
        console.print(f"One-time password of {email}: [bold]{password}[/]")

    _run(work)


def _run(work) -> None:  # type: ignore[no-untyped-def]
    url = Surroundings.find().database("gateway")

    async def run() -> None:
        async with gateway_session(url) as session:
            await work(session)

    try:
        asyncio.run(run())
    except Problem as problem:
        typer.secho(str(problem), fg="red", err=True)
        raise typer.Exit(1) from None


async def ensure_organisation(session: AsyncSession, slug: str, **settings: Any) -> Organisation:
    """The organisation of a slug, made if there is none."""
    found = await session.scalar(select(Organisation).where(Organisation.slug == slug))
    return found or await gateway.create_organisation(session, slug=slug, **settings)


async def ensure_account(
    session: AsyncSession, email: str, name: str, password: str, organisation: Organisation, roles: Sequence[Role]
) -> None:
    """An account with a known password, for demonstrations. One that exists stays as it is, but has that password."""
    account = await gateway.find_account(session, email, lock=True)
    if account is not None:
        if not await passwords.verify_password(account.password_hash, password):
            await gateway.set_password(session, account, await passwords.hash_password(password))
        return
    await gateway.create_account(
        session,
        email=email,
        name=name,
        password=password,
        locale=organisation.locale,
        memberships={organisation.id: roles} if roles else None,
        made_by=organisation.id if roles else None,
        verified=True,
    )
