"""The provider's API for shops, under /v1: JSON, a bearer key, and `Idempotency-Key` on everything that moves money.

Errors are `{"error": {"code", "message"}}`. A key that comes again with another request is
422 `idempotency_key_reused`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar
from uuid import uuid4

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from deploy.sandbox import payments
from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.payments import Amount, Payment, Refund, Refused
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.store import Store
from deploy.sandbox.webhooks import Courier, emit

T = TypeVar("T")


class Desk:
    """What the routes share: the store, the courier and the settings of this process."""

    def __init__(self, settings: SandboxSettings, store: Store, courier: Courier) -> None:
        self.settings = settings
        self.store = store
        self.courier = courier

    def find(self, payment_id: str) -> Payment:
        payment = self.store.payment(payment_id)
        if payment is None:
            raise Refused("not_found", "there is no such payment", 404)
        return payment

    def current(self, payment_id: str) -> Payment:
        """The payment as it is by now: what the clock has done to it is saved and told first."""
        payment, now = self.find(payment_id), time.time()
        if payment.due_at is not None and payment.due_at <= now:
            with self.store.transaction():
                self._keep(payment, payments.pass_time(payment, now), now)
        return payment

    def change(self, payment_id: str, command: Callable[[Payment, float], tuple[T, list[str]]]) -> tuple[Payment, T]:
        """Lets `command` work on the payment, saves it and sends the events that it answers."""
        payment, now = self.current(payment_id), time.time()
        with self.store.transaction():
            result, events = command(payment, now)
            self._keep(payment, events, now)
        return payment, result

    def _keep(self, payment: Payment, events: list[str], now: float) -> None:
        self.store.save(payment)
        for kind in events:
            emit(self.store, payment, kind, now)
        self.courier.wake()


def desk_of(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


def with_key(desk: AtDesk, authorization: Annotated[str, Header()] = "") -> None:
    scheme, _, key = authorization.partition(" ")
    expected = desk.settings.api_key.get_secret_value()
    if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), expected.encode()):
        raise Refused("unauthorised", "send the API key as Authorization: Bearer ...", 401)


router = APIRouter(prefix="/v1", dependencies=[Depends(with_key)])


class NewPayment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Amount
    reference: str = Field(min_length=1, max_length=200, description="The shop's own id of the payment")
    description: str = Field(default="", max_length=500)
    return_url: HttpUrl
    webhook_url: HttpUrl | None = None
    capture: Literal["automatic", "manual"] = "automatic"
    locale: str = Field(default="en", max_length=20)
    expires_in: float | None = Field(default=None, gt=0, le=30 * 86400, description="Seconds the card page stays open")
    behaviour: Behaviour | None = Field(default=None, description="Overrides that of the whole sandbox")


class Part(BaseModel):
    """All of it without a number."""

    model_config = ConfigDict(extra="forbid")

    minor: int | None = Field(default=None, gt=0)


class NewRefund(Part):
    reason: str = Field(default="", max_length=200)


class RefundView(BaseModel):
    id: str
    amount: Amount
    status: Literal["pending", "done", "failed"]
    reason: str

    @classmethod
    def of(cls, refund: Refund) -> RefundView:
        return cls(id=refund.id, amount=refund.amount, status=refund.status, reason=refund.reason)


class PaymentView(BaseModel):
    id: str
    reference: str
    url: str = Field(description="The card page")
    status: payments.Status
    reason: str
    amount: Amount
    captured: int
    refunded: int
    refunds: list[RefundView]

    @classmethod
    def of(cls, payment: Payment, base: str) -> PaymentView:
        return cls(
            id=payment.id,
            reference=payment.reference,
            url=f"{base}/pay/{payment.id}",
            status=payment.status,
            reason=payment.reason,
            amount=payment.amount,
            captured=payment.captured,
            refunded=payment.refunded,
            refunds=[RefundView.of(refund) for refund in payment.refunds],
        )


class Once:
    """Answers a repeated request as the first time. Without a key every request is a new one."""

    def __init__(
        self, request: Request, desk: AtDesk, key: Annotated[str, Header(alias="Idempotency-Key")] = ""
    ) -> None:
        self._request = request
        self._desk = desk
        self._key = key

    def run(self, body: BaseModel, status: int, command: Callable[[], BaseModel]) -> Response:
        """The effect and the remembered answer are one transaction; refusals are remembered as well."""
        described = f"{self._request.method} {self._request.url.path} {body.model_dump_json()}"
        print_of = hashlib.sha256(described.encode()).hexdigest()
        store, refused = self._desk.store, None
        with store.transaction():
            if self._key and (before := store.answer(self._key)):
                request, status, answer = before
                if request != print_of:
                    raise Refused(
                        "idempotency_key_reused", "this Idempotency-Key came with another request before", 422
                    )
                return _json(answer, status, {"idempotent-replayed": "true"})
            try:
                answer = command().model_dump_json()
            except Refused as no:
                refused, status, answer = no, no.status, error_body(no)
            if self._key:
                store.remember_answer(self._key, print_of, status, answer)
        if refused is not None:
            raise refused
        self._desk.courier.wake()
        return _json(answer, status, {})


def error_body(refused: Refused) -> str:
    return json.dumps({"error": {"code": refused.code, "message": refused.message}})


def _json(body: str, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status, headers, media_type="application/json")


def base_of(request: Request) -> str:
    settings: SandboxSettings = request.app.state.desk.settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


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
            lambda payment, now: payments.refund(payment, wanted.minor, wanted.reason, desk.settings, now),
        )
        return RefundView.of(made)

    return once.run(wanted, 201, command)


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
