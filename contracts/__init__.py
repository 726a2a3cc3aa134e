"""Typed events that Footlights' services exchange over Kafka, and the topics that carry them.

A partner can import this package alone: it depends on pydantic and nothing else of Footlights.
"""

from contracts import accounts, crm, notifications, orders, ticketing

# Imported here so that whoever imports any part of the package can decode every type: a reader that happened not to
# import one module would otherwise skip its events as unknown.
__all__ = ["accounts", "crm", "notifications", "orders", "ticketing"]
