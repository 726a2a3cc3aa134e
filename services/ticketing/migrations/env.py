"""Alembic's environment of ticketing."""

from chassis.migrations import run
from services.ticketing.models import Base

run(Base.metadata)
