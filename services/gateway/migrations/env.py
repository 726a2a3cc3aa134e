"""Alembic's environment of the gateway."""

from chassis.migrations import run
from services.gateway.models import Base

run(Base.metadata)
