"""The provider's API for shops, under /v1: JSON, a bearer key, and `Idempotency-Key` on everything that moves money.

Errors are `{"error": {"code", "message"}}`. A key that comes again with another request is
422 `idempotency_key_reused`.
"""

from __future__ import annotations

import time
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response

from deploy.sandbox import payments
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.desk import AtDesk, Once, base_of, with_key
from deploy.sandbox.payments import Dispute, Payment, Refused
from deploy.sandbox.views import (
    Decision,
    FailedRefund,
    NewDispute,
    NewPayment,
    NewRefund,
    Part,
    PaymentView,
    RefundView,
)

router = APIRouter(prefix="/v1", dependencies=[Depends(with_key)])


@router.post("/payments", status_code=201, response_model=PaymentView)
async def open_payment(body: NewPayment, request: Request, desk: AtDesk, once: Annotated[Once, Depends()]) -> Response:
    def command() -> PaymentView:
        now = time.time()
        payment = Payment(
            id=f"pay_{uuid4().hex}",
            reference=body.reference,
            amount=body.amount,
            description=body.description,
            return_url=str(body.return_url),
            webhook_url=str(body.webhook_url) if body.webhook_url else None,
            capture=body.capture,
            locale=body.locale,
            created_at=now,
            due_at=now + (body.expires_in or desk.settings.page_seconds),
            behaviour=body.behaviour,
        )
        desk.store.save(payment)
        return PaymentView.of(payment, base_of(request))

    return once.run(body, 201, command)


@router.get("/payments")
async def latest_payments(request: Request, desk: AtDesk) -> dict[str, list[PaymentView]]:
    """The latest 50, newest first."""
    return {"items": [PaymentView.of(payment, base_of(request)) for payment in desk.store.latest()]}


@router.get("/payments/{payment_id}")
async def show_payment(payment_id: str, request: Request, desk: AtDesk) -> PaymentView:
    return PaymentView.of(desk.current(payment_id), base_of(request))


@router.post("/payments/{payment_id}/capture", response_model=PaymentView)
async def capture_payment(
    payment_id: str, request: Request, desk: AtDesk, once: Annotated[Once, Depends()], body: Part | None = None
) -> Response:
    part = body or Part()

    def command() -> PaymentView:
        payment, _ = desk.change(payment_id, lambda payment, _now: (None, payments.capture(payment, part.minor)))
        return PaymentView.of(payment, base_of(request))

    return once.run(part, 200, command)


@router.post("/payments/{payment_id}/cancel", response_model=PaymentView)
async def cancel_payment(payment_id: str, request: Request, desk: AtDesk, once: Annotated[Once, Depends()]) -> Response:
    def command() -> PaymentView:
        payment, _ = desk.change(payment_id, lambda payment, _now: (None, payments.cancel(payment)))
        return PaymentView.of(payment, base_of(request))

    return once.run(Part(), 200, command)


@router.post("/payments/{payment_id}/refunds", status_code=201, response_model=RefundView)
async def refund_payment(
    payment_id: str, desk: AtDesk, once: Annotated[Once, Depends()], body: NewRefund | None = None
) -> Response:
    wanted = body or NewRefund()

    def command() -> RefundView:
        _, made = desk.change(
            payment_id,
            lambda payment, now: payments.refund(
                payment, wanted.minor, wanted.reason, desk.settings, now, wanted.reference
            ),
        )
        return RefundView.of(made)

    return once.run(wanted, 201, command)


@router.post("/payments/{payment_id}/refunds/{refund_id}/fail")
async def fail_refund(
    payment_id: str, refund_id: str, request: Request, desk: AtDesk, body: FailedRefund | None = None
) -> PaymentView:
    """Lets a refund fail that was done, as banks do days later."""
    reason = (body or FailedRefund()).reason
    payment, _ = desk.change(payment_id, lambda payment, _now: (None, payments.fail_refund(payment, refund_id, reason)))
    return PaymentView.of(payment, base_of(request))


@router.post("/payments/{payment_id}/disputes", status_code=201)
async def dispute_payment(payment_id: str, desk: AtDesk, body: NewDispute | None = None) -> Dispute:
    """The buyer asks the bank for the money."""
    wanted = body or NewDispute()
    _, opened = desk.change(payment_id, lambda payment, _now: payments.dispute(payment, wanted.minor, wanted.reason))
    return opened


@router.post("/payments/{payment_id}/disputes/{dispute_id}/decide")
async def decide_dispute(payment_id: str, dispute_id: str, body: Decision, desk: AtDesk) -> Dispute:
    _, decided = desk.change(payment_id, lambda payment, _now: payments.decide_dispute(payment, dispute_id, body.won))
    return decided


@router.get("/payments/{payment_id}/events")
async def events_of_payment(payment_id: str, desk: AtDesk) -> dict[str, list[dict[str, object]]]:
    """Every event with the fate of its copies: waiting, delivered, gave_up or lost."""
    return {"items": desk.store.events_of(desk.find(payment_id).id)}


@router.post("/events/{event_id}/resend", status_code=202)
async def resend_event(event_id: str, desk: AtDesk) -> dict[str, str]:
    """Sends an event once more, whatever happened to it."""
    if desk.store.payment_of_event(event_id) is None:
        raise Refused("not_found", "there is no such event", 404)
    desk.store.add_delivery(event_id, time.time())
    desk.courier.wake()
    return {"id": event_id}


@router.get("/behaviour")
async def show_behaviour(desk: AtDesk) -> Behaviour:
    return desk.store.behaviour()


@router.post("/behaviour")
async def set_behaviour(body: Behaviour, desk: AtDesk) -> Behaviour:
    """How webhooks arrive from now on; what is left out is as good as can be."""
    desk.store.set_behaviour(body)
    return body


@router.post("/payments/{payment_id}/behaviour")
async def set_behaviour_of_payment(payment_id: str, body: Behaviour, request: Request, desk: AtDesk) -> PaymentView:
    def command(payment: Payment, _now: float) -> tuple[None, list[str]]:
        payment.behaviour = body
        return None, []

    payment, _ = desk.change(payment_id, command)
    return PaymentView.of(payment, base_of(request))
