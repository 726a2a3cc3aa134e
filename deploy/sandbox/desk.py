"""What the provider's routes share: the desk with its store and courier, the shop's key, and answers given once."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from deploy.sandbox import payments
from deploy.sandbox.payments import Payment, Refused
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
