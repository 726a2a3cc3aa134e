"""Hands mails to an SMTP server over one connection that is kept and used again.

What the server says decides: 2xx is done, 4xx is for later, 5xx is for good. A connection that fails before the mail's
end was sent did no harm. One that fails after it leaves open whether the server took the mail: it is sent again, with
the same Message-ID. To make that rare, the server gets minutes to accept a mail (RFC 5321 asks for ten).
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPNotSupported,
    SMTPResponseException,
)

from chassis.people import mailable
from chassis.settings import is_local
from services.notifications import metrics
from services.notifications.delivery.verdicts import Refused, TryLater, Unreachable
from services.notifications.mail.wire import to_bytes
from services.notifications.settings import Settings

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 30.0
IDLE_SECONDS = 60.0
"""A connection that was not used for longer is opened anew: servers close idle ones."""
MAILS_PER_CONNECTION = 200
CATCHERS = re.compile(r"mail ?catcher|mailhog|mailpit|smtp4dev|papercut|greenmail|inbucket", re.IGNORECASE)
"""As such servers name themselves when they are connected to. Whatever they take is lost."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where and how to connect."""

    host: str
    port: int
    username: str | None
    password: str | None
    implicit_tls: bool
    start_tls: bool | None
    """True: required, None: if the server offers it, False: never."""
    verify: bool

    @classmethod
    def parse(cls, url: str) -> Server:
        """From `smtp://user:password@host:587?starttls=required` or `smtps://...`.

        `starttls` is required, auto or never; by default required when there is a password to protect and the server
        is not this machine. `verify=no` accepts any certificate. Raises `ValueError` for anything else.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("SMTP_URL must look like smtp://user:password@host:port")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        secure = parts.scheme == "smtps"
        guarded = bool(parts.username) and not is_local(parts.hostname)
        start_tls = {"required": True, "auto": None, "never": False}.get(
            query.get("starttls", "required" if guarded else "auto"), "wrong"
        )
        if isinstance(start_tls, str):
            raise ValueError("starttls in SMTP_URL must be required, auto or never")
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if secure else 587 if parts.username else 25),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            implicit_tls=secure,
            start_tls=False if secure else start_tls,
            verify=query.get("verify", "yes") != "no",
        )


class Mailer:
    """Sends one mail at a time over one connection; not to be shared between event loops.

    With `real` it gives nothing to a server that says of itself that it only catches mails.
    """

    def __init__(self, server: Server, *, hello: str, data_seconds: float = 120.0, real: bool = False) -> None:
        self._server = server
        self._hello = hello
        self._data_seconds = data_seconds
        self._real = real
        self._client: aiosmtplib.SMTP | None = None
        self._lock = asyncio.Lock()
        self._sent = 0
        self._used_at = 0.0

    @classmethod
    def of(cls, server: Server, settings: Settings) -> Mailer:
        return cls(
            server,
            hello=settings.sender.rpartition("@")[2],
            data_seconds=settings.smtp_data_seconds,
            real=settings.footlights_env == "production",
        )

    async def send(self, mail: EmailMessage, sender: str, recipient: str) -> str:
        """Returns the server's words. Raises `Refused`, `TryLater` or `Unreachable`."""
        sender, recipient = mailable(sender), mailable(recipient)
        content = to_bytes(mail)
        unicode_address = not content.isascii()
        async with self._lock:
            client = await self._connected()
            started, outcome = time.perf_counter(), "failed"
            try:
                client = await self._begin(client, sender, unicode_address)
                await client.rcpt(recipient, encoding="utf-8" if unicode_address else "ascii")
                answer = await client.data(content, timeout=self._data_seconds)
                outcome = "sent"
                self._sent += 1
                self._used_at = time.monotonic()
                return f"{answer.code} {answer.message}"[:300]
            except SMTPResponseException as error:
                await self._reset(client)
                raise _verdict(error) from error
            except (SMTPNotSupported, UnicodeError) as error:
                await self._reset(client)
                raise Refused(str(error)) from error
            except (SMTPException, OSError) as error:
                self._drop()
                raise TryLater(f"connection failed: {error}"[:300]) from error
            except BaseException:
                # Cancelled in the middle of a dialogue: the connection's state is unknown.
                self._drop()
                raise
            finally:
                metrics.SMTP_SECONDS.labels(outcome).observe(time.perf_counter() - started)

    async def close(self) -> None:
        """Says goodbye to the server, if it is still there."""
        client, self._client = self._client, None
        if client is not None and client.is_connected:
            try:
                await client.quit(timeout=1)
            except (SMTPException, OSError):
                client.close()

    async def _begin(self, client: aiosmtplib.SMTP, sender: str, unicode_address: bool) -> aiosmtplib.SMTP:
        """MAIL FROM; over a new connection if the kept one turns out to be dead, which nothing was sent over yet."""
        options = ["SMTPUTF8"] if unicode_address else []
        if unicode_address and not client.supports_extension("smtputf8"):
            raise SMTPNotSupported("the mail server cannot write to an address with such letters")
        try:
            await client.mail(sender, options=options)
        except (SMTPResponseException, SMTPNotSupported) as error:
            if getattr(error, "code", 0) != 421 or self._sent == 0:
                raise
        except (SMTPException, OSError):
            if self._sent == 0:
                raise
        else:
            return client
        self._drop()
        client = await self._connected()
        await client.mail(sender, options=options)
        return client

    async def _connected(self) -> aiosmtplib.SMTP:
        worn = self._sent >= MAILS_PER_CONNECTION or time.monotonic() - self._used_at > IDLE_SECONDS
        if self._client is not None and worn:
            await self.close()
        if self._client is not None and self._client.is_connected:
            return self._client
        self._drop()
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.username,
            password=self._server.password,
            use_tls=self._server.implicit_tls,
            start_tls=self._server.start_tls,
            validate_certs=self._server.verify,
            local_hostname=self._hello,
            timeout=COMMAND_SECONDS,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                greeting = await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except SMTPAuthenticationError as error:
            metrics.SMTP_CONNECTIONS.labels("refused").inc()
            raise Unreachable(f"the mail server refuses our password: {error.code}") from error
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            metrics.SMTP_CONNECTIONS.labels("failed").inc()
            client.close()
            raise Unreachable(f"no mail server: {error}"[:300]) from error
        if self._real and (catcher := CATCHERS.search(greeting.message)):
            client.close()
            raise Unreachable(f"SMTP_URL leads to {catcher.group()}, which delivers nothing")
        metrics.SMTP_CONNECTIONS.labels("opened").inc()
        self._client, self._sent, self._used_at = client, 0, time.monotonic()
        return client

    async def _reset(self, client: aiosmtplib.SMTP) -> None:
        """Ends the refused dialogue, so that the connection can serve the next mail."""
        try:
            await client.rset(timeout=5)
        except (SMTPException, OSError):
            self._drop()

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _verdict(error: SMTPResponseException) -> Refused | TryLater:
    words = f"{error.code} {error.message}"[:300]
    # 530, 535, 538: we should have signed in. That is our fault, not the recipient's.
    if 500 <= error.code < 600 and error.code not in {530, 535, 538}:
        return Refused(words)
    return TryLater(words)
