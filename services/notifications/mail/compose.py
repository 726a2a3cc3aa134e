"""Builds an e-mail by `EmailMessage` alone, which encodes every letter and refuses a line break in a header."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

from chassis.people import mailable
from services.notifications.letters import Letter

LONGEST_NAME = 120
"""Letters of a display name or file name; more than this only hides something."""


@dataclass(frozen=True, slots=True)
class File:
    """A PDF to attach."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Everything of a mail that is not its words."""

    message_id: UUID
    template: str
    language: str
    sender: str
    sender_name: str
    reply_to: str | None
    recipient: str
    recipient_name: str
    order_id: UUID | None = None
    files: tuple[File, ...] = field(default=())


def compose(envelope: Envelope, letter: Letter) -> EmailMessage:
    """A mail as plain text and HTML with its files. Raises `ValueError` for an address that is none.

    The Message-ID is a function of the message's id, so a mail that is sent again after a crash replaces itself
    wherever mails are kept by Message-ID.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = _address(envelope.sender_name, envelope.sender)
    mail["To"] = _address(envelope.recipient_name, envelope.recipient)
    if envelope.reply_to:
        mail["Reply-To"] = _address("", envelope.reply_to)
    mail["Subject"] = clean(letter.subject, 250)
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = rfc_message_id(envelope.message_id, envelope.sender)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Footlights-Template"] = envelope.template
    if envelope.order_id:
        mail["X-Footlights-Order"] = str(envelope.order_id)
    mail.set_content(letter.plain, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    for file in envelope.files:
        mail.add_attachment(file.content, maintype="application", subtype="pdf", filename=filename(file.name))
    # Last, for giving a mail its content takes away such headers.
    mail["Content-Language"] = envelope.language
    return mail


def rfc_message_id(message_id: UUID, sender: str) -> str:
    """The Message-ID header of a message, the same for each attempt."""
    return f"<{message_id}@{mailable(sender).rpartition('@')[2]}>"


def clean(text: str, longest: int) -> str:
    """One line without control and invisible formatting characters, so that no name can forge a header or hide one."""
    kept = (" " if character.isspace() else character for character in text if _harmless(character))
    return " ".join("".join(kept).split())[:longest].strip()


def filename(name: str) -> str:
    """A file name that is safe to save anywhere."""
    return (
        clean("".join("-" if character in '/\\:*?"<>|' else character for character in name), LONGEST_NAME)
        or "file.pdf"
    )


def _harmless(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def _address(name: str, address: str) -> Address:
    if any(character.isspace() or not _harmless(character) for character in address):
        raise ValueError("an address contains a space or control character")
    display_name = clean(name, LONGEST_NAME)
    address = mailable(address)
    local, at, domain = address.rpartition("@")
    try:
        if at and not local.isascii():
            # The parser of the standard library takes such a local part for a defect; RFC 6531 allows it.
            return Address(display_name, username=local, domain=domain)
        return Address(display_name, addr_spec=address)
    except (IndexError, MessageError) as error:
        raise ValueError(f"not an address: {error}") from error
