"""A mail server that delivers nothing: it keeps every mail, for people to read on a page and for tests to count.

`python -m deploy.platform.mailcatcher` serves SMTP on SMTP_PORT and the page on PORT, and keeps mails in MAIL_FOLDER.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage, Message
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

MOST = 32 * 1024 * 1024
"""Bytes of the largest mail that is taken."""
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True)
class Mail:
    """One received mail. `raw` is what came over the wire; everything else is read from it, most of it when it is
    asked for: a platform that runs for weeks has thousands."""

    id: str
    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    message_id: str = ""

    @classmethod
    def parse(cls, id: str, received_at: datetime, sender: str, recipients: Iterable[str], raw: bytes) -> Mail:
        head = email.message_from_bytes(END_OF_HEAD.split(raw, maxsplit=1)[0])
        return cls(id, received_at, sender, tuple(recipients), raw, str(head["Message-ID"] or "").strip())

    @cached_property
    def message(self) -> EmailMessage:
        message = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)  # noqa: S101 - the default policy makes no other class
        return message

    def reaches(self, part: str) -> bool:
        """Whether a recipient's address has this in it."""
        return any(part.lower() in each.lower() for each in self.recipients)

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or "")

    @property
    def headers(self) -> dict[str, str]:
        return {name: str(value) for name, value in self.message.items()}

    @property
    def text(self) -> str:
        return self._body("plain")

    @property
    def html(self) -> str:
        return self._body("html")

    def _body(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        return tuple(
            Attachment(part.get_filename() or "unnamed", part.get_content_type(), _content(part))
            for part in self.message.iter_attachments()
        )


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


class MailCatcher:
    """Receives mails over SMTP. Any user name and password are accepted, and none as well.

    `refuse` makes the next deliveries fail, to see a sender try again.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, folder: Path | None = None) -> None:
        self.host = host
        self.port = port
        self.folder = folder
        self.messages: list[Mail] = []
        self.repeated = 0
        self._refusals: list[str] = []
        self._server: asyncio.Server | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.messages = _stored(folder)

    @property
    def smtp_url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server((self.host, self.port))
        self.port = int(listener.getsockname()[1])
        self._server = await loop.create_server(lambda: _protocol(self, loop), sock=listener)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def to(self, address: str) -> list[Mail]:
        """The mails for one address, oldest first."""
        return [mail for mail in self.messages if address.lower() in (to.lower() for to in mail.recipients)]

    def find(self, id: str) -> Mail | None:
        return next((mail for mail in self.messages if mail.id == id), None)

    def clear(self) -> None:
        self.messages.clear()
        self.repeated = 0
        if self.folder is not None:
            for file in self.folder.glob("*.eml"):
                file.unlink()
                file.with_suffix(".json").unlink(missing_ok=True)

    def refuse(self, times: int, answer: str = "451 try again later") -> None:
        """Answer the next `times` mails with an SMTP error (4xx: later; 5xx: never)."""
        self._refusals += [answer] * times

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self._refusals:
            return self._refusals.pop(0)
        raw = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        now = datetime.now(UTC)
        id = f"{now:%Y%m%d-%H%M%S-%f}-{uuid4().hex[:6]}"
        mail = Mail.parse(id, now, envelope.mail_from or "", envelope.rcpt_tos, raw)
        self._replace(mail)
        if self.folder is not None:
            about = {"sender": mail.sender, "recipients": mail.recipients, "received_at": now.isoformat()}
            (self.folder / f"{id}.json").write_text(json.dumps(about))
            (self.folder / f"{id}.eml").write_bytes(raw)
        self.messages.append(mail)
        return "250 kept"

    def _replace(self, mail: Mail) -> None:
        """Takes out an earlier copy of the same mail, as a mailbox that keeps mails by Message-ID does.

        A sender that was killed before it could note our answer must send again; `repeated` says how often it did.
        """
        for old in [old for old in self.messages if mail.message_id and old.message_id == mail.message_id]:
            if old.recipients == mail.recipients:
                self.repeated += 1
                self.messages.remove(old)
                self._delete(old.id)

    def _delete(self, id: str) -> None:
        if self.folder is not None:
            (self.folder / f"{id}.eml").unlink(missing_ok=True)
            (self.folder / f"{id}.json").unlink(missing_ok=True)


def _protocol(catcher: MailCatcher, loop: asyncio.AbstractEventLoop) -> SMTP:
    return SMTP(
        catcher,
        data_size_limit=MOST,
        enable_SMTPUTF8=True,
        hostname="footlights.local",
        ident="Footlights mail catcher",
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=True),
        loop=loop,
    )


def _stored(folder: Path) -> list[Mail]:
    mails = []
    for file in sorted(folder.glob("*.eml")):
        with contextlib.suppress(OSError, ValueError, KeyError):
            about = json.loads(file.with_suffix(".json").read_text())
            at = datetime.fromisoformat(about["received_at"])
            mails.append(Mail.parse(file.stem, at, about["sender"], about["recipients"], file.read_bytes()))
    return mails


if __name__ == "__main__":
    from deploy.platform.mailpage import run

    run(Path(os.environ.get("MAIL_FOLDER", ".footlights/mail")))
