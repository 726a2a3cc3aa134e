"""`python -m deploy.platform.migrate orders=postgresql://... ticketing=...`: brings several databases up to date.

One process for all of them, which asks first what is missing: a second start has nothing to migrate and nothing to
import for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import asyncpg
from alembic.config import Config
from alembic.script import ScriptDirectory

from chassis import postgres
from deploy.platform.home import ROOT


def main(targets: list[str]) -> None:
    for target in targets:
        service, _, url = target.partition("=")
        try:
            if asyncio.run(_versions(url)) == _newest(service):
                continue
            from chassis.migrations import upgrade

            upgrade(service, url)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise SystemExit(f"{service}: {type(error).__name__}: {reason}") from error


def _newest(service: str) -> set[str]:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "services" / service / "migrations"))
    return set(ScriptDirectory.from_config(config).get_heads())


async def _versions(url: str) -> set[str]:
    connection = await postgres.connect(url)
    try:
        with contextlib.suppress(asyncpg.UndefinedTableError):
            return {row["version_num"] for row in await connection.fetch("SELECT version_num FROM alembic_version")}
        return set()
    finally:
        await connection.close()


if __name__ == "__main__":
    main(sys.argv[1:])
