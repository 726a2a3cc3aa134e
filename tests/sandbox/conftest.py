"""One sandbox process for the folder, a shop and a webhook address for each test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.harness import serve
from tests.sandbox.sandbox_process import SandboxProcess, Shop, sandbox_process
from tests.sandbox.webhook_catcher import Catcher


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxProcess]:
    with tempfile.TemporaryDirectory(prefix="footlights-sandbox-") as folder, sandbox_process(Path(folder)) as process:
        yield process


@pytest.fixture
async def shop(http: aiohttp.ClientSession, sandbox_server: SandboxProcess) -> AsyncIterator[Shop]:
    await sandbox_server.ready(http)
    shop = Shop(http, sandbox_server.url)
    yield shop
    await shop.call("POST", "/v1/behaviour", {})


@pytest.fixture
async def catcher() -> Catcher:
    return Catcher()


@pytest.fixture
async def webhook_url(catcher: Catcher) -> AsyncIterator[str]:
    async with serve(catcher.app()) as url:
        yield url + "/hook"
