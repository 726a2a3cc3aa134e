"""Composition root of CRM."""

from __future__ import annotations

from fastapi import FastAPI

from chassis.app import create_app
from services.crm.api import router
from services.crm.consumers import consumer
from services.crm.retention import rules
from services.crm.settings import Settings


def create(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    return create_app(settings, title="CRM", routers=[router], consumer=consumer, retention=rules(settings))


app = create()
