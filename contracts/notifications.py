"""Events of notifications: what became of each message (section 9)."""

from __future__ import annotations

from uuid import UUID

from contracts.envelope import EventData, Open


class Channel(Open):
    EMAIL = "email"
    SMS = "sms"


class MessageState(EventData):
    message_id: UUID
    channel: Channel
    template: str
    """Which message it is: tickets_issued, order_cancelled, order_refunded, invoice_ordered, ..."""
    recipient_hash: str
    """SHA-256 of the normalised address: topics carry no more personal data than they must."""
    order_id: UUID | None = None
    attempts: int
    attachments: int = 0

    def key(self) -> UUID:
        return self.message_id


class MessageSent(MessageState, type="notifications.message.sent.v1"):
    """The mail server or SMS provider accepted a message."""


class MessageBounced(MessageState, type="notifications.message.bounced.v1"):
    """A mail that a server had accepted did not reach its recipient after all."""

    reason: str
    """The words of the server that gave up: an enhanced status code (RFC 3463) and an explanation."""


class MessageFailed(MessageState, type="notifications.message.failed.v1"):
    """A message was refused for good, or given up after its last attempt."""

    reason: str
    """For people: what the server or provider answered, or why nothing was sent. No fixed values."""
