"""Routes of orders: parse, one command or query, answer."""

from services.orders.api import buyers, catalogue, payments, staff, tables

ROUTERS = (tables.router, staff.router, buyers.router, payments.router, catalogue.router)
"""Fixed paths before those with an id in them."""

__all__ = ["ROUTERS"]
