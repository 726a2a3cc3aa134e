"""Settings of notifications."""

from __future__ import annotations

from email.utils import parseaddr
from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from chassis.letters import LetterSettings
from chassis.people import normalise_email
from chassis.settings import DevelopmentDefault, is_local, is_reserved


class Settings(LetterSettings):
    service: ClassVar[str] = "notifications"

    port: int = 8004

    smtp_url: Annotated[SecretStr, DevelopmentDefault()] = SecretStr("smtp://127.0.0.1:8026")
    """`smtp://` or `smtps://`, with user and password if there are any; see `smtp.Server.parse` for TLS."""
    smtp_connections: int = Field(2, gt=0, le=50)
    """Connections of a process to the mail server, for each lane of `lanes.Lane`."""
    smtp_data_seconds: float = 120.0
    """How long a server may take to accept a mail. Giving up early would mean sending it twice."""
    mail_from: str = "Footlights <tickets@footlights.example>"
    """Address of the sender; the name stands in for an organisation that was not heard of in time."""
    sms_url: str = ""
    """Where an SMS is posted; without it there are no SMS, and staff get an e-mail instead (NTF-1)."""
    sms_token: SecretStr = SecretStr("")
    documents_url: str = ""
    """Where documents are read instead of PUBLIC_URL, such as the gateway's address inside a cluster."""

    delivery_batch: int = Field(5, gt=0, le=500)
    """Messages that one connection takes at once; while it sends one, those behind are written."""
    lease_seconds: float = Field(10.0, gt=0)
    """A message whose sender has died is taken over by another one after this time."""
    context_wait_seconds: float = 10.0
    """How long a message waits for the order and organisation that say its language, if it overtook them."""
    payment_reminder_seconds: float = 120.0
    """A buyer who has not paid by card this long after ordering gets the link to pay."""
    reminder_hours: int = Field(24, gt=0, le=24 * 60)
    """How long before a show its reminder leaves, unless the organisation has set its own (NTF-3, GAP-11)."""
    give_up_hours: float = 120.0
    """Attempts end, and old news found by reading a topic again is not sent, this long after a message was due."""

    body_days: int = Field(90, ge=8)
    """What a message said is kept so long after it was sent; then only that it was sent, to whom and when."""
    delivery_log_days: int = Field(400, ge=8)
    """How long the attempts to deliver are kept."""

    bounce_address: str = ""
    """Where other servers send a mail back to, if not to MAIL_FROM: the address of the mailbox of BOUNCES_URL."""
    bounces_url: SecretStr = SecretStr("")
    """That mailbox, see `bounces.mailbox.open_mailbox`; without it nobody learns of mails that come back."""
    bounces_seconds: float = Field(60.0, gt=0)
    """Between two looks into it."""
    suppression_days: int = Field(400, ge=8)
    """An address that takes no mail is tried again after this time."""

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if normalise_email(parseaddr(value)[1]) is None:
            raise ValueError("MAIL_FROM must look like tickets@example.com or Name <tickets@example.com>")
        return value

    @model_validator(mode="after")
    def _loses_no_mail(self) -> Self:
        if self.footlights_env != "production":
            return self
        server = urlsplit(self.smtp_url.get_secret_value()).hostname or ""
        site = urlsplit(self.public_url).hostname or ""
        lost = [
            ("SMTP_URL", is_local(server) or is_reserved(server), "a mail server that everybody can be reached from"),
            ("MAIL_FROM", is_reserved(self.sender.rpartition("@")[2]), "an address that answers can be sent to"),
            ("PUBLIC_URL", is_local(site) or is_reserved(site), "where the links in mails lead"),
        ]
        if wrong := [f"{name} must name {what}" for name, is_wrong, what in lost if is_wrong]:
            raise ValueError("mail would be lost, refused in production: " + "; ".join(wrong))
        return self

    @property
    def sender(self) -> str:
        """The bare address of MAIL_FROM."""
        return parseaddr(self.mail_from)[1]

    @property
    def return_path(self) -> str:
        """The sender of the envelope."""
        return self.bounce_address or self.sender

    @property
    def sender_name(self) -> str:
        """The name in MAIL_FROM."""
        return parseaddr(self.mail_from)[0] or "Footlights"
