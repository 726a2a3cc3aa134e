"""Servers that notifications talks to, each able to misbehave as real ones do."""

from __future__ import annotations

import asyncio
import email
import email.policy
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP

PDF = b"%PDF-1.7\n% tickets of a test\n%%EOF\n"


class SmtpServer:
    """A real SMTP server. What is put into `rcpt` and `data` is answered to the next commands, instead of 250."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        require_tls: bool = False,
        password: str = "",
        utf8: bool = True,
    ) -> None:
        self.port = 0
        self.mails: list[EmailMessage] = []
        self.rcpt: list[str] = []
        self.data: list[str] = []
        self.delay_seconds = 0.0
        self.gate: asyncio.Event | None = None
        """While it is closed, a mail that came whole is not answered."""
        self.gated: set[str] | None = None
        """The templates whose mails stand at the gate; all when there is no set."""
        self.receiving = 0
        """Mails that came whole, answered or not."""
        self.vanish_after_data = 0
        """How many of the next mails are kept without an answer: the connection breaks instead."""
        self.break_in_data = 0
        """How many of the next mails break in the middle of their text."""
        self.connections = 0
        self.recipients: list[str] = []
        """As they were named in the dialogue."""
        self.sign_ins: list[str] = []
        self._tls, self._require_tls, self._password, self._utf8 = tls, require_tls, password, utf8
        self._server: asyncio.Server | None = None
        self._transports: set[asyncio.BaseTransport] = set()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def message_ids(self) -> Counter[str]:
        return Counter(str(mail["Message-ID"]) for mail in self.mails)

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if address in str(mail["To"])]

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = await loop.create_server(self._protocol, sock=listener)

    async def stop(self) -> None:
        """Goes away like a machine that lost its power: open connections break."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self._transports):
            transport.abort()  # type: ignore[attr-defined]

    def _protocol(self) -> SMTP:
        owner = self

        class Protocol(SMTP):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                owner.connections += 1
                owner._transports.add(transport)
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                owner._transports.discard(self.transport)
                super().connection_lost(error)

            async def smtp_DATA(self, arg: str) -> None:
                if owner.break_in_data:
                    owner.break_in_data -= 1
                    await self.push("354 go on")
                    await self._reader.readline()
                    assert isinstance(self.transport, asyncio.Transport)
                    self.transport.abort()
                    return
                await super().smtp_DATA(arg)

        return Protocol(
            self,
            hostname="test.local",
            enable_SMTPUTF8=self._utf8,
            auth_require_tls=self._require_tls,
            require_starttls=self._require_tls,
            tls_context=self._tls,
            authenticator=self._sign_in,
            loop=asyncio.get_running_loop(),
        )

    def _sign_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        self.sign_ins.append(data.login.decode())
        return AuthResult(success=data.password.decode() == self._password, handled=False)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if self.rcpt:
            answer = self.rcpt.pop(0)
            if not answer.startswith("250"):
                return answer
        envelope.rcpt_tos.append(address)
        self.recipients.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.receiving += 1
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.gate is not None and (self.gated is None or mail["X-Footlights-Template"] in self.gated):
            await self.gate.wait()
        if self.data:
            answer = self.data.pop(0)
            if not answer.startswith("250"):
                return answer
        self.mails.append(mail)
        if self.vanish_after_data:
            self.vanish_after_data -= 1
            server.transport.abort()
        return "250 kept"


class DocumentServer:
    """Answers every path with a PDF, unless told otherwise."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[web.Response] = []
        """Given first."""
        self.always: web.Response | None = None
        self.asked: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        """By path: what is not answered before the gate is open."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.gates:
            await self.gates[request.path].wait()
        if self.answers:
            return self.answers.pop(0)
        if self.always is not None:
            return web.Response(status=self.always.status)
        return web.Response(body=PDF, content_type="application/pdf")


class SmsServer(DocumentServer):
    """An SMS provider's HTTP interface."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, str]] = []
        self.keys: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.answers:
            return self.answers.pop(0)
        self.messages.append(await request.json())
        self.keys.append(request.headers["Idempotency-Key"])
        return web.json_response({"id": len(self.messages)}, status=201)


@asynccontextmanager
async def listening(server: DocumentServer) -> AsyncIterator[DocumentServer]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
