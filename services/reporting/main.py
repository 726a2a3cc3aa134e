"""Composition root of reporting."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.app import create_app
from services.reporting.api import router
from services.reporting.consumers import consumer
from services.reporting.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    return create_app(settings or Settings(), title="Reporting", routers=[router], consumer=consumer)


app = create()
