"""Both banks as processes of their own, started when a test first wants them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.harness import serve
from tests.orders.payments.banks import Bank, LocalStripe, SandboxBank, StripeBank
from tests.sandbox.sandbox_process import SandboxProcess, sandbox_process
from tests.sandbox.webhook_catcher import Catcher


@pytest.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxProcess]:
    with tempfile.TemporaryDirectory(prefix="footlights-sandbox-") as folder, sandbox_process(Path(folder)) as process:
        yield process


@pytest.fixture(scope="session")
def localstripe() -> Iterator[LocalStripe]:
    with tempfile.TemporaryDirectory(prefix="footlights-localstripe-") as folder:
        process = LocalStripe(Path(folder))
        yield process
        process.stop()


@pytest.fixture(params=["sandbox", "stripe"])
async def bank(request: pytest.FixtureRequest, http: aiohttp.ClientSession) -> AsyncIterator[Bank]:
    bank: Bank
    if request.param == "sandbox":
        sandbox: SandboxProcess = request.getfixturevalue("sandbox_server")
        await sandbox.ready(http)
        bank = SandboxBank(sandbox, http)
    else:
        stripe: LocalStripe = request.getfixturevalue("localstripe")
        await stripe.ready(http)
        bank = StripeBank(stripe, http)
    yield bank
    await bank.provider.aclose()
    await bank.holding.aclose()


@pytest.fixture
async def catcher() -> Catcher:
    return Catcher()


@pytest.fixture
async def webhook_url(catcher: Catcher) -> AsyncIterator[str]:
    async with serve(catcher.app()) as url:
        yield url + "/hook"


@pytest.fixture
async def silent_server() -> AsyncIterator[str]:
    """An address that takes connections and never says a word."""
    done = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    done.set()
    server.close()
