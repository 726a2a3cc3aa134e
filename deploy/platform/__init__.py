"""The local platform: embedded PostgreSQL and Kafka, the services, the card provider and the mail catcher."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.platform.parts import Existing
    from deploy.platform.ports import SERVICES, Ports
    from deploy.platform.processes import StartFailed
    from deploy.platform.supervisor import Platform

__all__ = ["SERVICES", "Existing", "Platform", "Ports", "StartFailed"]

_HOMES = {
    "Existing": "parts",
    "Platform": "supervisor",
    "Ports": "ports",
    "SERVICES": "ports",
    "StartFailed": "processes",
}


def __getattr__(name: str) -> Any:
    # Small programs live in this package too, and should not import the supervisor with everything it needs.
    if name in _HOMES:
        return getattr(importlib.import_module(f"deploy.platform.{_HOMES[name]}"), name)
    raise AttributeError(name)
