"""The sandbox as a process of its own, as a shop meets it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from deploy.platform.processes import free_ports
from tests.harness import ROOT, eventually

API_KEY = "test-sandbox-key"
SECRET = "whsec_dGVzdC1zYW5kYm94LXNlY3JldC1vZi0zMi1ieXRlcyEh"


class SandboxProcess:
    """Started on its own port; `restart` keeps port and folder."""

    def __init__(self, folder: Path, **environment: str) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "sandbox.log"
        self._environment = {
            **os.environ,
            "SANDBOX_HOME": str(folder),
            "SANDBOX_API_KEY": API_KEY,
            "SANDBOX_WEBHOOK_SECRET": SECRET,
            "SANDBOX_SHORT_HOLD_SECONDS": "0.5",
            "SANDBOX_REFUND_SECONDS": "0.3",
            "SANDBOX_WEBHOOK_FIRST_RETRY": "0.1",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "deploy.sandbox.app:app", "--port", str(self.port)],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def ready(self, session: aiohttp.ClientSession) -> None:
        async def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError(f"the sandbox ended:\n{self.log.read_text()}")
            try:
                async with session.get(self.url + "/healthz") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers, timeout=30)


@contextlib.contextmanager
def sandbox_process(folder: Path, **environment: str) -> Iterator[SandboxProcess]:
    process = SandboxProcess(folder, **environment)
    process.start()
    try:
        yield process
    finally:
        process.kill()


class Shop:
    """A client of the sandbox's API and, with `browse`, of its pages."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def call(
        self, method: str, path: str, body: Any = None, key: str | None = None, api_key: str = API_KEY
    ) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {api_key}"}
        if key is not None:
            headers["idempotency-key"] = key
        async with self.session.request(method, self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def open(self, webhook_url: str | None = None, key: str | None = None, **fields: Any) -> dict[str, Any]:
        body = {
            "amount": {"minor": 12500, "currency": "UAH"},
            "reference": f"order-{time.time_ns()}",
            "return_url": "http://shop.test/back",
            "webhook_url": webhook_url,
        }
        status, payment = await self.call("POST", "/v1/payments", body | fields, key)
        assert status == 201, payment
        return payment  # type: ignore[no-any-return]

    async def show(self, payment: dict[str, Any]) -> dict[str, Any]:
        status, shown = await self.call("GET", f"/v1/payments/{payment['id']}")
        assert status == 200, shown
        return shown  # type: ignore[no-any-return]

    async def browse(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, page and where a redirect leads."""
        method = "GET" if form is None else "POST"
        async with self.session.request(method, url, data=form, allow_redirects=False) as response:
            return response.status, await response.text(), response.headers.get("location", "")
