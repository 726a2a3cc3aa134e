"""Metrics of CRM."""

from __future__ import annotations

from prometheus_client import Counter

CUSTOMERS_REGISTERED = Counter("footlights_crm_customers_registered_total", "Customers known for the first time")
ORDERS_RECOGNISED = Counter(
    "footlights_crm_orders_recognised_total", "Orders given to a customer, by what the customer was known by", ["by"]
)
OVERLAPS = Counter("footlights_crm_overlaps_total", "Orders whose contact data belong to two customers")
