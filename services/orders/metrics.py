"""Metrics of orders; `chassis.metrics` has those every service shares."""

from __future__ import annotations

import math

from prometheus_client import Counter, Gauge

from services.orders.process.state import State

TRANSITIONS = Counter("orders_transitions_total", "Orders that entered a stage", ["stage"])
PAYMENTS = Counter("orders_payments_total", "Payments that reached a stage", ["stage"])
OVERPAID = Counter("orders_overpaid_total", "Orders that were paid more than once")
REFUNDS = Counter("orders_refunds_total", "Refunds by outcome: asked, done, failed", ["outcome"])
WEBHOOKS = Counter("orders_webhooks_total", "Webhooks by provider and outcome", ["provider", "outcome"])
MISMATCHES = Counter("orders_payment_mismatches_total", "Payments in another currency than their order's")
PROVIDER_ERRORS = Counter("orders_provider_errors_total", "Calls to a provider that failed", ["provider", "call"])

IN_STAGE = Gauge("orders_in_stage", "Orders by stage", ["stage"])
OVERDUE_SECONDS = Gauge("orders_overdue_seconds", "Age of the oldest deadline that has not been decided")
REFUNDS_WAITING = Gauge("orders_refunds_waiting", "Refunds that a provider has not carried out yet")
REFUND_WAIT_SECONDS = Gauge(
    "orders_refund_wait_seconds", "Age of the oldest refund that a provider has not carried out"
)
REFUNDS_BY_HAND = Gauge("orders_refunds_by_hand", "Refunds that staff must send and confirm")
WANTED_SECONDS = Gauge(
    "orders_wanted_seconds", "Age of the oldest capture or cancellation that a provider has not carried out", ["call"]
)
UNDELIVERED = Gauge("orders_paid_without_tickets", "Paid orders whose tickets do not exist yet")
LEDGER_SUM = Gauge("orders_ledger_sum", "Sum of all ledger entries; anything but zero is a bug")
LEDGER_SUM.set(math.nan)
"""Zero would mean that it balances, which nobody knows until it was summed."""


def unsay() -> None:
    """Forgets the gauges that one replica sets for all: it is another one from now on."""
    gauges = (OVERDUE_SECONDS, REFUNDS_WAITING, REFUND_WAIT_SECONDS, REFUNDS_BY_HAND, UNDELIVERED)
    for gauge in gauges:
        gauge.set(0)
    LEDGER_SUM.set(math.nan)
    IN_STAGE.clear()
    WANTED_SECONDS.clear()


def seen(before: State, after: State) -> None:
    """Counts one transition."""
    if after.stage is not None and after.stage is not before.stage:
        TRANSITIONS.labels(after.stage.value).inc()
    for payment in after.payments:
        known = before.payment(payment.id)
        if known is None or known.stage is not payment.stage:
            PAYMENTS.labels(payment.stage.value).inc()
    if after.overpaid and not before.overpaid:
        OVERPAID.inc()
    done = {refund.id: refund for refund in before.refunds}
    for refund in after.refunds:
        old = done.get(refund.id)
        if old is None:
            REFUNDS.labels("asked").inc()
        if refund.done and not (old and old.done):
            REFUNDS.labels("done").inc()
        if old is not None and refund.failures > old.failures:
            REFUNDS.labels("failed").inc()
