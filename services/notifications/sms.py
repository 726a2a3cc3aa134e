"""Hands short messages to an HTTP provider.

An SMS costs money and cannot be taken back, so a doubtful one is not sent again by itself: only a provider that
certainly did not take it (it said 429 or 503, or there was no connection) is asked again.
"""

from __future__ import annotations

from uuid import UUID

import aiohttp
from pydantic import SecretStr

from services.notifications.delivery.verdicts import Refused, TryLater, Unknown

TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)


class Sms:
    """Posts `{"to", "text", "reference"}` to SMS_URL, with the message's id as `Idempotency-Key`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: SecretStr) -> None:
        self._http = http
        self._url = url
        self._token = token

    @property
    def configured(self) -> bool:
        return bool(self._url)

    async def send(self, message_id: UUID, to: str, text: str) -> str:
        """`to` is E.164. Returns the provider's words. Raises `Refused`, `TryLater` or `Unknown`."""
        if not self.configured:
            raise Refused("no SMS provider is configured (SMS_URL)")
        headers = {"Idempotency-Key": str(message_id)}
        if secret := self._token.get_secret_value():
            headers["Authorization"] = f"Bearer {secret}"
        body = {"to": to, "text": text, "reference": str(message_id)}
        try:
            async with self._http.post(
                self._url, json=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            ) as answer:
                words = f"{answer.status} {(await answer.text())[:200]}"
                status = answer.status
        except aiohttp.ClientConnectorError as error:
            raise TryLater(f"no SMS provider: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unknown(f"the SMS provider did not answer, it may have sent it: {error!r}") from error
        if status < 300:
            return words
        if status in {429, 503}:
            raise TryLater(words)
        if status >= 500 or status == 408:
            raise Unknown(f"the SMS provider failed, it may have sent it: {words}")
        raise Refused(words)
