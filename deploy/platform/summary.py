"""The last thing `make up` says: what runs where, and how to sign in."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from deploy.platform.supervisor import Platform


def summary(platform: Platform, accounts: Sequence[tuple[str, str, str]] | None) -> RenderableType:
    """Two tables: addresses, and accounts as (role, e-mail, password)."""
    where = Table(title="Footlights is up", title_justify="left", header_style="bold")
    where.add_column("What")
    where.add_column("Where", overflow="fold")
    for what, address in addresses(platform).items():
        where.add_row(what, address)
    if not accounts:
        return where
    people = Table(title="Sign in with POST /auth/sign-in", title_justify="left", header_style="bold")
    for column in ("Role", "E-mail", "Password"):
        people.add_column(column)
    for account in accounts:
        people.add_row(*account)
    return Group(where, people)


def addresses(platform: Platform) -> dict[str, str]:
    urls = platform.urls
    found = {
        "gateway (all of the API)": urls["gateway"],
        "API documentation": urls["gateway"] + "/docs",
        "mails that were sent": urls["mail"] if not platform.existing.smtp else "delivered by " + platform.smtp_url,
        "sandbox card provider": urls["sandbox"],
    }
    for service in platform.services:
        if service != "gateway":
            found[service] = urls[service]
    found["SMTP"] = platform.smtp_url
    found["Kafka"] = platform.kafka_bootstrap_servers + (" (in memory)" if platform.mock_kafka else "")
    if platform.postgres is not None:
        found["PostgreSQL"] = platform.postgres.url()
    found["logs"] = str(platform.home.logs)
    return found
