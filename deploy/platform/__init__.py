"""The local platform: embedded PostgreSQL and Kafka, the services, the card provider and the mail catcher."""

from __future__ import annotations

from deploy.platform.parts import Existing
from deploy.platform.ports import SERVICES, Ports
from deploy.platform.processes import StartFailed
from deploy.platform.supervisor import Platform

__all__ = ["SERVICES", "Existing", "Platform", "Ports", "StartFailed"]
