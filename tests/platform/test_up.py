"""`make up` as a person meets it: everything starts, the demo data are there, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from deploy.platform.home import ROOT, Home
from deploy.platform.ports import Ports
from deploy.platform.processes import answers
from tests.harness import runs


def free_base() -> int:
    """A base port with room for everything above it."""
    for _ in range(50):
        base = random.randrange(20000, 30000, 100)
        ports = Ports.counted_from(base)
        if not any(
            map(answers, [*ports.services.values(), ports.sandbox, ports.postgres, *ports.kafka, *ports.controllers])
        ):
            return base
    raise AssertionError("no free ports")


async def start(home: Path, base: int) -> tuple[asyncio.subprocess.Process, str]:
    """Run it until it is up; the process and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.platform.up", "--port", str(base)),
        cwd=ROOT,
        env={**os.environ, "FOOTLIGHTS_HOME": str(home), "COLUMNS": "200", "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = ""
    async for line in process.stdout:
        printed += line.decode()
        if "Ctrl-C" in printed:
            return process, printed
    raise AssertionError(printed)


async def demo_data(base: int, password: str) -> tuple[list[str], set[str]]:
    """Shows on sale, and kinds of offers, as the organizer sees them."""
    url = f"http://127.0.0.1:{base}"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        who = {"email": "organizer@theatre.example", "password": password}
        async with client.post(url + "/auth/sign-in", json=who) as answer:
            assert answer.status == 200
        async with client.get(url + "/api/ticketing/shows") as answer:
            shows = [show["name"] for show in (await answer.json())["items"] if show["status"] == "on_sale"]
        async with client.get(url + "/api/orders/offers") as answer:
            return shows, {offer["kind"] for offer in (await answer.json())["items"]}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_up_and_ctrl_c_and_up_again(own_folder: Path):
    home, base = own_folder / "home", free_base()
    for _ in range(2):
        process, printed = await start(home, base)
        family = psutil.Process(process.pid).children(recursive=True)
        try:
            assert f"http://127.0.0.1:{base}" in printed
            password = Home(home).secrets()["DEMO_PASSWORD"]
            assert printed.count(password) == 10  # an account for each role, and a buyer
            assert await demo_data(base, password) == (["The Forest Song"], {"course", "goods"})
            note = json.loads((home / "running.json").read_text())
            assert len(note["children"]) == 10
        finally:
            process.send_signal(signal.SIGINT)
            await process.communicate()
        assert process.returncode == 0
        assert [left for left in family if runs(left)] == []
