"""What is measured of a request."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from chassis import asgi, metrics

HEAD: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


async def seconds(monkeypatch: pytest.MonkeyPatch, method: str, waits_before: float, waits_after: float) -> float:
    """The time that is measured of an answer with a wait before its head and one before its end."""
    clock = Clock()
    monkeypatch.setattr(asgi, "time", clock)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clock.now += waits_before
        await send(dict(HEAD))
        clock.now += waits_after
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_: Any) -> Any:
        return None

    measured = metrics.HTTP_SECONDS.labels(method, "none")
    before = measured._sum.get()
    await asgi.Edge(app)({"type": "http", "method": method, "headers": []}, nothing, nothing)
    return measured._sum.get() - before


async def test_a_long_stream_is_no_slow_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await seconds(monkeypatch, "GET", waits_before=0.5, waits_after=3600) == pytest.approx(0.5)


async def test_an_answer_that_begins_late_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await seconds(monkeypatch, "GET", waits_before=7, waits_after=0) == pytest.approx(7)
