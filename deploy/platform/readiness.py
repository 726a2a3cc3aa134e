"""Waiting until a process answers that it is ready, or says why it never will be."""

from __future__ import annotations

import asyncio
import contextlib
import time

import aiohttp

from deploy.platform.processes import Child, StartFailed, tail

READY_SECONDS = 90.0


async def until_ready(child: Child, url: str) -> None:
    """Returns when `url` answers 200. Raises `StartFailed` if the process ends before, or after `READY_SECONDS`."""
    deadline = time.monotonic() + READY_SECONDS
    seen = "no answer"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as client:
        while True:
            if not child.running:
                why = f"ended with code {child.exit_code}: {_reason(child)}"
                raise StartFailed(child.name, why, log=child.log, remedy="the log has the whole story")
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with client.get(url) as answer:
                    seen = f"{answer.status} {(await answer.text())[:300]}"
                    if answer.status == 200:
                        return
            if time.monotonic() > deadline:
                raise StartFailed(child.name, f"not ready after {READY_SECONDS:.0f} s: {seen}", log=child.log)
            await asyncio.sleep(0.1)


def _reason(child: Child) -> str:
    lines = [line for line in tail(child.log, 30).splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line or "error" in line]
    return (errors or lines or ["its log is empty"])[-1].strip()[:400]
