"""Alembic for every service: the environment, the chassis' own tables, and row-level security.

A service's `migrations/env.py` calls `run(Base.metadata)`; its first version calls `create_chassis_tables` and
`protect` for each table that belongs to an organisation.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, pool
from sqlalchemy.engine import Connection

from chassis import postgres, walls
from chassis.db import service_metadata


class Executes(Protocol):
    """Runs one statement: Alembic's `op`, or anything like it."""

    def execute(self, sqltext: str, /) -> None: ...


class Operations(Executes, Protocol):
    """What we use of Alembic's `op` module."""

    def get_bind(self) -> Connection: ...


def config(service: str, database_url: str) -> Config:
    """Alembic's configuration for one service, as the owner of its database."""
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent.parent / "services" / service / "migrations"))
    settings.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))
    return settings


def upgrade(service: str, database_url: str) -> None:
    """Brings a service's database to the newest version. Call it outside a running event loop."""
    command.upgrade(config(service, database_url), "head")


def run(metadata: MetaData) -> None:
    """Body of a service's `env.py`."""
    url = context.config.get_main_option("sqlalchemy.url")
    folder = context.config.get_main_option("script_location")
    if url is None or folder is None:
        raise RuntimeError("no database: run migrations by `python -m chassis.migrate <service>`")
    service = Path(folder).parent.name

    def migrate(connection: Connection) -> None:
        context.configure(
            connection=connection, target_metadata=metadata, include_object=_ours, compare_server_default=False
        )
        with context.begin_transaction():
            context.run_migrations()
            wall_off(connection, service)

    async def connect() -> None:
        engine = postgres.engine(url, poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
        await engine.dispose()

    asyncio.run(connect())


def create_chassis_tables(op: Operations) -> None:
    """Outbox, inbox and idempotency keys, for the first version of a service."""
    service_metadata().create_all(op.get_bind())


def wall_off(connection: Connection, service: str) -> None:
    """Brings the chassis' own tables, their function and the rights up to date, after every run of migrations: they are
    the same in all services and belong to no version."""
    if connection.exec_driver_sql("SELECT to_regclass('outbox')").scalar() is None:
        return
    service_metadata().create_all(connection)
    for statement in walls.rotation(service):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("SELECT footlights_rotate('12 hours', '2 hours')")
    connection.exec_driver_sql(walls.rights(service))
    connection.exec_driver_sql(walls.views(service))


def protect(op: Executes, table: str, *, service: str, account_column: str | None = None) -> None:
    """Lets the api role see only rows of the caller's organisation, or of the caller's own account if there is a column
    for it. The worker role sees all."""
    mine = "organisation = nullif(current_setting('footlights.organisation', true), '')::uuid"
    if account_column:
        mine += f" OR {account_column} = nullif(current_setting('footlights.account', true), '')::uuid"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY caller ON {table} TO {service}_api USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"CREATE POLICY worker ON {table} TO {service}_worker USING (true) WITH CHECK (true)")


def unsee(op: Executes, table: str) -> None:
    """Before a column of the table is dropped or gets another type: its view is made again after the migrations."""
    op.execute(f"DROP VIEW IF EXISTS seen.{table}")


def _ours(_: Any, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Hourly partitions come and go; they are not part of the models."""
    return not (kind == "table" and reflected and compare_to is None and (name or "").startswith("outbox_published_"))
