"""Every event that a report is built from, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.consumer import Consumer
from contracts.envelope import Event
from services.reporting import archive, metrics, projection

consumer = Consumer("reporting")


@consumer.on_batch(*projection.HANDLED)
async def project(session: AsyncSession, events: Sequence[Event[Any]]) -> None:
    await projection.steady(session)
    await archive.keep(session, events)
    await projection.apply(session, events)
    metrics.PROJECTED.inc(len(events))
    metrics.NEWEST_EVENT.set(max(event.time for event in events).timestamp())
