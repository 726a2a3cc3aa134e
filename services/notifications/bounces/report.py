"""Reads a delivery status notification (RFC 3464): which of our mails did not arrive, and why. Pure."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from uuid import UUID

from chassis.people import normalise_email

OURS = re.compile(r"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@")
NO_SUCH_ADDRESS = re.compile(r"\b5\.(1\.(1|2|3|6|10)|2\.1)\b")
"""Enhanced codes (RFC 3463) that say: nobody reads this address. Others speak of a full mailbox, of the mail, of us."""
LONGEST = 300


@dataclass(frozen=True, slots=True)
class Report:
    message_id: UUID
    recipients: frozenset[str]
    """Normalised; the one we wrote to, and one that the mail was forwarded to."""
    words: str
    """Code and explanation, as the other server gave them."""

    @property
    def no_such_address(self) -> bool:
        return names_no_address(self.words)


def names_no_address(words: str) -> bool:
    """Whether a server's words say that the address takes no mail at all."""
    return NO_SUCH_ADDRESS.search(words) is not None


def read(raw: bytes) -> Report | None:
    """`None` for anything but a report of a final failure of one of our mails."""
    mail = email.message_from_bytes(raw)
    if mail.get_content_type() != "multipart/report":
        return None
    message_id = next(_message_ids(mail), None)
    failure = next(_failures(mail), None)
    if message_id is None or failure is None:
        return None
    words = " ".join(" ".join(str(failure.get(name, "")) for name in ("Status", "Diagnostic-Code")).split())
    addresses = (_address(failure.get(name)) for name in ("Original-Recipient", "Final-Recipient"))
    return Report(message_id, frozenset(filter(None, addresses)), words[:LONGEST])


def _message_ids(mail: Message) -> Iterator[UUID]:
    for part in mail.walk():
        original: Message | None = None
        if part.get_content_type() in {"message/rfc822", "message/global"} and isinstance(part.get_payload(), list):
            original = part.get_payload(0)  # type: ignore[assignment]
        elif part.get_content_type() in {"text/rfc822-headers", "message/rfc822-headers", "message/global-headers"}:
            content = part.get_payload(decode=True)
            original = email.message_from_bytes(content) if isinstance(content, bytes) else None
        if original is not None and (found := OURS.search(str(original.get("Message-ID", "")))):
            yield UUID(found.group(1))


def _failures(mail: Message) -> Iterator[Message]:
    for part in mail.walk():
        if part.get_content_type() in {"message/delivery-status", "message/global-delivery-status"}:
            groups = part.get_payload()
            for group in groups if isinstance(groups, list) else []:
                if isinstance(group, Message) and str(group.get("Action", "")).strip().lower() == "failed":
                    yield group


def _address(field: object) -> str | None:
    """Of `rfc822; ada@example.com`."""
    return normalise_email(str(field).rpartition(";")[2].strip(" <>")) if field is not None else None
