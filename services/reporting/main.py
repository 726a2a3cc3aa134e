"""Composition root of reporting."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.app import create_app
from services.reporting.api import router
from services.reporting.consumers import consumer
from services.reporting.retention import rules
from services.reporting.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    return create_app(settings, title="Reporting", routers=[router], consumer=consumer, retention=rules(settings))


app = create()
