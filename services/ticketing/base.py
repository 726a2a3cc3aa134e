"""Base of the mapped classes of ticketing."""

from __future__ import annotations

from chassis.db import ServiceBase, service_metadata


class Base(ServiceBase):
    metadata = service_metadata()
