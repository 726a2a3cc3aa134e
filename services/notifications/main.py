"""Puts notifications together."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.app import create_app
from chassis.jobs import Job
from services.notifications import consumers, gauges
from services.notifications.api import router
from services.notifications.bounces.collect import collector
from services.notifications.bounces.mailbox import open_mailbox
from services.notifications.delivery.dispatch import Dispatch
from services.notifications.retention import rules
from services.notifications.settings import Settings

MEASURE_EVERY_SECONDS = 5.0


def _bounces(settings: Settings) -> list[Job]:
    if not (url := settings.bounces_url.get_secret_value()):
        return []
    return [Job("bounces", settings.bounces_seconds, collector(open_mailbox(url)), alone=True)]


def create(settings: Settings | None = None) -> FastAPI:
    """The service. Raises `ValueError` for an SMTP_URL that is none."""
    settings = settings or Settings()
    dispatch = Dispatch(settings)

    return create_app(
        settings,
        title="Footlights notifications",
        routers=[router],
        consumer=consumers.build(settings),
        job_list=[
            *dispatch.jobs(),
            *_bounces(settings),
            Job("measure", MEASURE_EVERY_SECONDS, gauges.measure, alone=True, leave=gauges.unsay),
        ],
        retention=rules(settings),
        lifespan=dispatch.open,
    )


app = create()
