"""Payments through the sandbox card provider, see `deploy/sandbox/README.md`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp

from contracts.money import Money
from services.orders.payments.provider import (
    ProviderDispute,
    ProviderDisputeStatus,
    ProviderError,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderRefundStatus,
    ProviderStatus,
    StartedPayment,
    StartPayment,
)
from services.orders.payments.providers import standard_webhooks

STATUSES = {
    "open": ProviderStatus.PENDING,
    "confirming": ProviderStatus.PENDING,
    "held": ProviderStatus.HELD,
    "received": ProviderStatus.RECEIVED,
    "failed": ProviderStatus.FAILED,
    "cancelled": ProviderStatus.CANCELLED,
    "expired": ProviderStatus.CANCELLED,
}
ATTEMPTS = 2
"""A connection that breaks is tried once more: every POST carries an idempotency key."""


class Refusal(ProviderError):
    """The provider answered no; `code` is its word for why."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(
            f"sandbox answered {status} {code}: {message}", retryable=status >= 500 or status in (408, 429)
        )
        self.code = code


class SandboxProvider:
    """Every call ends within `timeout` seconds, as an answer or a `ProviderError`."""

    name = "sandbox"

    def __init__(
        self, url: str, api_key: str, webhook_secrets: Sequence[str], *, hold: bool = False, timeout: float = 10
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {api_key}"}
        self._secrets = [secret for secret in webhook_secrets if secret]
        self._capture = "manual" if hold else "automatic"
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def start(self, payment: StartPayment) -> StartedPayment:
        body = {
            "amount": payment.amount.model_dump(),
            "reference": str(payment.payment_id),
            "description": (payment.description or payment.order_number)[:500],
            "return_url": payment.return_url,
            "webhook_url": payment.webhook_url,
            "capture": self._capture,
            "locale": payment.locale[:20],
        }
        answer = await self._post("/v1/payments", body, payment.idempotency_key)
        return StartedPayment(reference=answer["id"], redirect_url=answer["url"])

    async def fetch(self, reference: str) -> ProviderPayment:
        return _payment(await self._call("GET", _path(reference), None, None))

    async def capture(self, reference: str, amount: Money, idempotency_key: str) -> ProviderPayment:
        try:
            answer = await self._post(_path(reference, "/capture"), {"minor": amount.minor}, idempotency_key)
        except Refusal as refusal:
            if refusal.code == "not_held":
                now = await self.fetch(reference)
                if now.status is ProviderStatus.RECEIVED and now.amount == amount:
                    return now
            raise
        return _payment(answer)

    async def cancel(self, reference: str, idempotency_key: str) -> ProviderPayment:
        try:
            return _payment(await self._post(_path(reference, "/cancel"), None, idempotency_key))
        except Refusal as refusal:
            if refusal.code == "already_received":
                return await self.fetch(reference)
            raise

    async def refund(self, reference: str, amount: Money, idempotency_key: str, refund_id: UUID) -> ProviderRefund:
        body = {"minor": amount.minor, "reference": str(refund_id)}
        return _refund(await self._post(_path(reference, "/refunds"), body, idempotency_key))

    async def find(self, reference: str) -> UUID | None:
        return None  # its events always carry our id

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> list[ProviderEvent]:
        event_id = standard_webhooks.verify(headers, body, self._secrets)
        try:
            event = json.loads(body)
            kind, data = event["type"], event["data"]
            return [
                ProviderEvent(
                    id=event_id, reference=data["payment"], kind=kind, payment_id=_uuid(data.get("reference"))
                )
            ]
        except (ValueError, KeyError, TypeError):
            return []  # signed, so it is from the sandbox, but not about a payment

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, path: str, body: Mapping[str, Any] | None, key: str) -> Any:
        return await self._call("POST", path, body, key)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None, key: str | None) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                for attempt in range(ATTEMPTS):
                    try:
                        return await self._once(method, path, body, key)
                    except aiohttp.ClientConnectionError:
                        if attempt == ATTEMPTS - 1:
                            raise
        except TimeoutError as error:
            raise ProviderError(f"sandbox did not answer within {self._timeout} s", retryable=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderError(f"sandbox could not be asked: {type(error).__name__}", retryable=True) from error
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, body: Mapping[str, Any] | None, key: str | None) -> Any:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        headers = {"idempotency-key": key} if key is not None else {}
        address = self._url + path
        async with self._session.request(
            method, address, json=body, headers=headers, allow_redirects=False
        ) as response:
            raw = await response.read()
        try:
            answer = json.loads(raw)
        except ValueError as error:
            raise Refusal(max(response.status, 500), "unreadable", "the answer is no JSON") from error
        if response.status >= 300:
            problem = answer.get("error", {}) if isinstance(answer, dict) else {}
            raise Refusal(response.status, problem.get("code", "unknown"), problem.get("message", ""))
        return answer


def _path(reference: str, below: str = "") -> str:
    return f"/v1/payments/{quote(reference, safe='')}{below}"


def _payment(answer: Mapping[str, Any]) -> ProviderPayment:
    currency = answer["amount"]["currency"]
    status = STATUSES[answer["status"]]
    minor = answer["captured"] if status is ProviderStatus.RECEIVED else answer["amount"]["minor"]
    return ProviderPayment(
        reference=answer["id"],
        status=status,
        amount=Money(minor=minor, currency=currency),
        refunded=Money(minor=answer["refunded"], currency=currency),
        reason=answer["reason"] or None,
        refunds=tuple(_refund(refund) for refund in answer["refunds"]),
        disputes=tuple(_dispute(dispute) for dispute in answer["disputes"]),
    )


def _refund(answer: Mapping[str, Any]) -> ProviderRefund:
    return ProviderRefund(
        reference=answer["id"],
        status=ProviderRefundStatus(answer["status"]),
        amount=Money(**answer["amount"]),
        reason=answer["reason"] or None,
        refund_id=_uuid(answer["reference"]),
    )


def _dispute(answer: Mapping[str, Any]) -> ProviderDispute:
    return ProviderDispute(
        reference=answer["id"],
        status=ProviderDisputeStatus(answer["status"]),
        amount=Money(**answer["amount"]),
        reason=answer["reason"],
    )


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
