"""The embedded PostgreSQL and the databases of the services."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from deploy.platform.postgres import BINARIES, PostgresServer
from deploy.platform.processes import StartFailed, free_ports
from tests.harness import Postgres


async def test_fsync_is_on_and_the_version_is_18(postgres: Postgres):
    connection = await asyncpg.connect(postgres.url())
    assert (await connection.fetchval("SHOW server_version")).startswith("18")
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.close()


async def test_roles_use_what_the_owner_makes_later(postgres: Postgres):
    urls = await postgres.create_database("toy")
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("CREATE TABLE thing (id bigserial PRIMARY KEY, name text)")
    for url in (urls.api, urls.worker):
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("INSERT INTO thing (name) VALUES ('a') RETURNING id") > 0
        await connection.execute("UPDATE thing SET name = 'b'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE other (id bigint)")
        await connection.close()
    await owner.close()
    await postgres.drop_database(urls)


async def test_a_service_cannot_enter_the_database_of_another(postgres: Postgres):
    mine, foreign = await postgres.create_database("toy"), await postgres.create_database("doll")
    name = foreign.owner.rpartition("/")[2]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(mine.worker.rpartition("/")[0] + "/" + name)


async def test_data_survive_a_crash_and_a_stale_pid_file(own_postgres: Postgres):
    connection = await asyncpg.connect(own_postgres.url())
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.execute("INSERT INTO kept VALUES (1)")
    own_postgres.kill()
    await connection.close(timeout=1)
    (own_postgres.server.data / "postmaster.pid").write_text("1\n/elsewhere\n")  # a pid that lives, but is another's
    own_postgres.start()
    connection = await asyncpg.connect(own_postgres.url())
    assert await connection.fetchval("SELECT count(*) FROM kept") == 1
    await connection.close()


def test_a_walled_folder_is_no_obstacle(own_folder):
    """A checkout in root's own folder, as containers often have it: programs and data are behind a wall."""
    walled = own_folder / "only-for-me"
    walled.mkdir(mode=0o700)
    wheel = BINARIES.parents[1]
    programs = walled / wheel.name / BINARIES.parent.name
    shutil.copytree(BINARIES.parent, programs, symlinks=True)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), walled / f"{wheel.name}.libs")
    server = PostgresServer(
        walled / "postgres", free_ports(1)[0], log=walled / "postgres.log", binaries=programs / "bin"
    )
    server.start()
    try:
        assert server.running
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user to run PostgreSQL")
def test_a_wall_that_cannot_be_passed_is_named(own_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Without setpriv the programs behind a wall are out of reach; the data folder in front of it is not to blame."""
    walled = own_folder / "only-for-me"
    walled.mkdir(mode=0o700)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(StartFailed, match="only-for-me/bin/postgres") as failure:
        PostgresServer(own_folder / "data", 1, log=own_folder / "log", binaries=walled / "bin")
    assert "setpriv" in failure.value.remedy
