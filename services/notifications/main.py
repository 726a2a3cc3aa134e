"""Puts notifications together."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.app import create_app
from chassis.jobs import Job
from services.notifications import consumers, gauges
from services.notifications.api import router
from services.notifications.delivery.dispatch import Dispatch
from services.notifications.retention import rules
from services.notifications.settings import Settings

MEASURE_EVERY_SECONDS = 5.0


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
            Job("measure", MEASURE_EVERY_SECONDS, gauges.measure, alone=True, leave=gauges.unsay),
        ],
        retention=rules(settings),
        lifespan=dispatch.open,
    )


app = create()
