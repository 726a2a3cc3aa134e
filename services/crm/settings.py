"""Settings of CRM."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    service: ClassVar[str] = "crm"
    interest_days: int = Field(90, ge=1)
    """How long an order that never was more than interest is remembered."""
