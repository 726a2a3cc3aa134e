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
from sqlalchemy.ext.asyncio import create_async_engine

from chassis.db import service_metadata, sqlalchemy_url

ROTATE = """
CREATE FUNCTION footlights_rotate(keep interval) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    hour timestamptz;
    name text;
BEGIN
    -- The relay calls this as the worker role, which may not create tables itself.
    FOR hour IN SELECT generate_series(date_trunc('hour', now()), date_trunc('hour', now()) + '2 hours', '1 hour') LOOP
        name := 'outbox_published_' || to_char(hour AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF outbox_published FOR VALUES FROM (%L) TO (%L)',
                           name, hour, hour + interval '1 hour');
        END IF;
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'outbox_published'::regclass
          AND c.relname < 'outbox_published_' || to_char((now() - keep) AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
    LOOP
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
    DELETE FROM inbox WHERE handled_at < now() - interval '14 days';
    DELETE FROM idempotency_key WHERE created_at < now() - interval '7 days';
END $$
"""


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
    settings.set_main_option("sqlalchemy.url", sqlalchemy_url(database_url).replace("%", "%%"))
    return settings


def upgrade(service: str, database_url: str) -> None:
    """Brings a service's database to the newest version. Call it outside a running event loop."""
    command.upgrade(config(service, database_url), "head")


def run(metadata: MetaData) -> None:
    """Body of a service's `env.py`."""
    url = context.config.get_main_option("sqlalchemy.url")
    if url is None:
        raise RuntimeError("no database: run migrations by `python -m chassis.migrate <service>`")

    def migrate(connection: Connection) -> None:
        context.configure(
            connection=connection, target_metadata=metadata, include_object=_ours, compare_server_default=False
        )
        with context.begin_transaction():
            context.run_migrations()

    async def connect() -> None:
        engine = create_async_engine(url, poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
        await engine.dispose()

    asyncio.run(connect())


def create_chassis_tables(op: Operations) -> None:
    """Outbox, inbox and idempotency keys, for the first version of a service."""
    service_metadata().create_all(op.get_bind())
    op.execute(ROTATE)
    op.execute("SELECT footlights_rotate('1 hour')")


def protect(op: Executes, table: str, *, service: str, account_column: str | None = None) -> None:
    """Lets the api role see only rows of the caller's organisation, or of the caller's own account if there is a column
    for it. The worker role sees all."""
    mine = "organisation = nullif(current_setting('footlights.organisation', true), '')::uuid"
    if account_column:
        mine += f" OR {account_column} = nullif(current_setting('footlights.account', true), '')::uuid"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY caller ON {table} TO {service}_api USING ({mine}) WITH CHECK ({mine})")
    op.execute(f"CREATE POLICY worker ON {table} TO {service}_worker USING (true) WITH CHECK (true)")


def _ours(_: Any, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Hourly partitions come and go; they are not part of the models."""
    return not (kind == "table" and reflected and compare_to is None and (name or "").startswith("outbox_published_"))
