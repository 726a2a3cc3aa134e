"""What an order is called: its status over its life, and the words and colours of the list (ORD-13)."""

from __future__ import annotations

from enum import StrEnum

from contracts.orders import FunnelStage, PaymentMethod, PaymentStatus
from services.orders.order.tables import Order
from services.orders.process.state import CancelReason

METHOD_LABELS = {
    PaymentMethod.CARD.value: "Payment by card",
    PaymentMethod.INVOICE.value: "Payment by invoice",
    PaymentMethod.MANUAL.value: "Entered by staff",
}
STAGE_LABELS = {
    FunnelStage.INTERESTED.value: ("Interested", "grey"),
    FunnelStage.WISHLIST.value: ("Wish list", "grey"),
    FunnelStage.WATCHING_PRICE.value: ("Watching the price", "grey"),
    FunnelStage.AWAITING_PAYMENT.value: ("New", "orange"),
    FunnelStage.PAID.value: ("Paid", "green"),
    FunnelStage.CANCELLED.value: ("Cancelled", "red"),
}
"""ORD-13: what was placed and not paid is marked "New" in orange, what was paid "Paid" in green."""


NEVER_HAD = (CancelReason.PAYMENT_LOST.value, CancelReason.ENTRY_REVERSED.value)
FREE = "Nothing to pay"


class OrderStatus(StrEnum):
    """What became of an order that was placed: a view over its stage and its payments (GAP-15, GAP-18)."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


def status_of(order: Order) -> OrderStatus | None:
    """None before it was placed. It is refunded when the money is back, and cancelled until then, or where there never
    was any: a hold lapsed, or staff took back what they had entered by mistake."""
    if order.stage == FunnelStage.PAID:
        partly = order.payment_status == PaymentStatus.PARTIALLY_REFUNDED
        return OrderStatus.PARTIALLY_REFUNDED if partly else OrderStatus.PAID
    if order.stage == FunnelStage.CANCELLED:
        back = order.sold and order.paid == order.refunded and order.payment_status != PaymentStatus.HOLD
        never = order.cancel_reason in NEVER_HAD
        return OrderStatus.REFUNDED if back and order.total and not never else OrderStatus.CANCELLED
    return OrderStatus.AWAITING_PAYMENT if order.stage == FunnelStage.AWAITING_PAYMENT else None


def label_of(order: Order) -> tuple[str, str]:
    """Word and colour in the list."""
    if order.stage == FunnelStage.PAID and not order.total:
        return "Free", "green"
    if status_of(order) is OrderStatus.REFUNDED:
        return "Refunded", "red"
    return STAGE_LABELS[order.stage or FunnelStage.INTERESTED.value]
