"""What every answer of the gateway has: its request id, and what browsers are told to be careful with."""

from __future__ import annotations

from starlette.types import Message, Send

from chassis import problems
from chassis.problems import Problem
from services.gateway import metrics
from services.gateway.settings import Settings


class Answer:
    """An ASGI `send` that adds what every answer has."""

    def __init__(self, send: Send, security: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._security = security
        self.request_id = ""
        self.private = False
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            metrics.answered(message["status"]).inc()
            message["headers"] = self._complete(message["headers"])
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        content = problems.body(
            problem.status,
            problem.slug,
            problem.title,
            problem.detail,
            **{"request_id": self.request_id, **problem.extra},
        )
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(content)).encode()),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in problem.headers.items()),
        ]
        await self({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self({"type": "http.response.body", "body": content})

    def _complete(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = list(given)
        names = dict(headers)
        headers += [header for header in self._security if header[0] not in names]
        if self.request_id and b"x-request-id" not in names:
            headers.append((b"x-request-id", self.request_id.encode()))
        if self.private and b"cache-control" not in names:
            headers.append((b"cache-control", b"no-store"))
        if b"content-security-policy" not in names and names.get(b"content-type") != b"application/pdf":
            headers.append((b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
        return headers


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
    ]
    if settings.secure_cookies:
        headers.append((b"strict-transport-security", b"max-age=31536000; includeSubDomains"))
    return headers
