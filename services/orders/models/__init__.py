"""Tables of orders. Every row belongs to one organisation; row-level security stands behind that column."""

from services.orders.models.base import Base
from services.orders.models.catalogue import Account, Enrolment, Offer, Organisation
from services.orders.models.money import LedgerEntry, Payment, PaymentEvent, Refund, WebhookEvent
from services.orders.models.order import HistoryEntry, Note, Order, OrderLine
from services.orders.models.saved_view import SavedView
from services.orders.models.undelivered import Undelivered

__all__ = [
    "Account",
    "Base",
    "Enrolment",
    "HistoryEntry",
    "LedgerEntry",
    "Note",
    "Offer",
    "Order",
    "OrderLine",
    "Organisation",
    "Payment",
    "PaymentEvent",
    "Refund",
    "SavedView",
    "Undelivered",
    "WebhookEvent",
]
