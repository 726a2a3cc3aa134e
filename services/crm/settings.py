"""Settings of CRM."""

from __future__ import annotations

from typing import ClassVar

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    service: ClassVar[str] = "crm"
