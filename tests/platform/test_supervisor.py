"""The supervisor: one platform of servers and a service, killed, restarted and stopped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from deploy.platform import Platform, Ports, StartFailed
from deploy.platform.home import AlreadyRunning, Home, down
from tests.harness import eventually, runs


def processes_of(folder: Path) -> list[psutil.Process]:
    """Living processes that were started for a platform in the folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        try:
            text = " ".join(process.info["cmdline"] or []) + " ".join(process.environ().get("MAIL_FOLDER", "").split())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if str(folder) in text and process.pid != os.getpid():
            found.append(process)
    return found


async def ask(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.json()


@pytest.mark.slow
async def test_parts_are_killed_and_started_and_nothing_is_left(own_folder: Path):
    told: list[tuple[str, str]] = []
    platform = Platform(
        own_folder, services=["reporting"], restart_crashed=True, report=lambda *step: told.append(step)
    )
    async with platform:
        assert (await ask(platform.urls["reporting"] + "/readyz"))[0] == 200
        assert (await ask(platform.urls["mail"] + "/messages"))[1] == {"items": []}
        with pytest.raises(AlreadyRunning):
            await Platform(own_folder, services=[]).open()
        assert platform.home.owner() is not None
        crashed = next(running for running in platform.home.children() if running.name == "mail").process()
        assert crashed is not None
        crashed.kill()
        await eventually(lambda: any(part == "mail" and "unexpectedly" in state for part, state in told), timeout=60)
        await eventually(lambda: told[-1] == ("mail", "ready"), timeout=60)
        await platform.kill("reporting")
        assert not platform.running("reporting")
        await platform.start("reporting")
        await platform.restart_postgres(kill=True)
        await eventually(lambda: _ready(platform), timeout=30)
        family = psutil.Process().children(recursive=True)
    assert [left for left in family if runs(left) and str(own_folder) in " ".join(_command(left))] == []
    assert processes_of(own_folder) == []
    assert not platform.home.note.exists()
    assert ("reporting", "ready") in told


async def _ready(platform: Platform) -> bool:
    return (await ask(platform.urls["reporting"] + "/readyz"))[0] == 200


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


async def test_a_taken_port_is_named_with_its_owner(own_folder: Path):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    taken = server.sockets[0].getsockname()[1]
    ports = Ports.free()
    ports = Ports(
        services=ports.services,
        sandbox=ports.sandbox,
        mail_page=taken,
        smtp=ports.smtp,
        postgres=ports.postgres,
        kafka=ports.kafka,
        controllers=ports.controllers,
    )
    with pytest.raises(StartFailed) as failure:
        await Platform(own_folder, ports, services=[]).open()
    assert f"port {taken} is taken" in failure.value.why
    assert f"pid {os.getpid()}" in failure.value.why
    assert "PORT=9000" in failure.value.remedy
    server.close()


def test_down_ends_what_the_note_names_and_spares_a_recycled_number(own_folder: Path):
    home = Home(own_folder)
    home.logs.mkdir(parents=True)
    home.write_note({"me": os.getpid()}, {})
    text = home.note.read_text()
    created = psutil.Process().create_time()
    home.note.write_text(text.replace(str(created), str(created - 1000)))
    assert home.owner() is None
    assert down(home) is False


def test_secrets_are_made_once_and_kept_private(own_folder: Path):
    first = Home(own_folder).secrets()
    assert Home(own_folder).secrets() == first
    assert "PRIVATE KEY" in first["TOKEN_SIGNING_KEY"].splitlines()[0]
    assert (own_folder / "secrets.env").stat().st_mode & 0o077 == 0


def test_ports_are_counted_from_the_base():
    ports = Ports.counted_from(9000, brokers=3)
    assert ports.services["gateway"] == 9000
    assert ports.postgres == 9032
    assert ports.kafka == (9092, 9094, 9096)
