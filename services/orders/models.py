"""All tables of orders, for migrations: each room keeps its own. Every row belongs to one organisation, and row-level
security stands behind that column."""

from services.orders.base import Base
from services.orders.catalogue.tables import Offer
from services.orders.courses.tables import Enrolment
from services.orders.desk.tables import SavedView
from services.orders.known import Account, Organisation, Show, Undelivered
from services.orders.order.tables import HistoryEntry, Note, Order, OrderLine, Searched
from services.orders.order.tally import Tally, TallyChange
from services.orders.payments.tables import LedgerEntry, Payment, PaymentEvent, Refund, WebhookEvent

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
    "Searched",
    "Show",
    "Tally",
    "TallyChange",
    "Undelivered",
    "WebhookEvent",
]
