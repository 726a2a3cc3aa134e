"""Decides, at the last moment, whether a message still holds, whom it goes to and what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from chassis.letters import LetterSettings, link_of
from contracts.notifications import Channel
from contracts.orders import FunnelStage, PaymentStatus
from contracts.ticketing import ShowStatus
from services.notifications.delivery.claims import Claimed
from services.notifications.letters import Letter, Setting, Template, short_text, write
from services.notifications.letters.render import language_of
from services.notifications.mail import Envelope

ACCOUNT_LETTERS = (Template.OPEN_ACCOUNT, Template.SIGN_IN)


@dataclass(frozen=True, slots=True)
class Target:
    channel: Channel
    address: str


def obsolete(message: Claimed) -> str | None:
    """Why the message must not go out any more; `None` if it still holds."""
    if message.asked_for:
        return None
    if message.attempts == 1 and message.now > message.give_up_at:
        return "too late: it happened too long ago"
    ticket_ids = {UUID(ticket) for ticket in message.params.get("ticket_ids", ())}
    if ticket_ids and ticket_ids <= set(message.voided or ()):
        return "the tickets are no longer valid"
    if message.template in ACCOUNT_LETTERS and datetime.fromisoformat(message.params["expires_at"]) <= message.now:
        return "too late: its link is over"
    if message.template == Template.ORDER_PLACED:
        return _no_payment_awaited(message)
    if message.template == Template.SHOW_REMINDER:
        if message.show_status in {ShowStatus.CANCELLED, ShowStatus.REPLACED}:
            return "the show does not take place"
        if message.show_starts_at and message.show_starts_at <= message.now:
            return "the show has begun"
    return None


def undeliverable(message: Claimed) -> str | None:
    """Why nothing is to be sent to this address; `None` if it may be tried.

    What a person at the other end asks for is tried in any case: no staff could lift it for them.
    """
    if not message.takes_no_mail or message.asked_for or message.template in ACCOUNT_LETTERS:
        return None
    return f"the address takes no mail: {message.takes_no_mail}"


def postponed_seconds(message: Claimed) -> float | None:
    """How long a reminder has to wait because its show was moved to a later time."""
    if message.template != Template.SHOW_REMINDER or message.show_starts_at is None:
        return None
    wait = (message.show_starts_at - timedelta(hours=int(message.params["hours"])) - message.now).total_seconds()
    return wait if wait > 1 else None


def target(message: Claimed, *, sms: bool) -> Target:
    """Channel and address. Staff are told by SMS, or by e-mail while there is no SMS to be sent (NTF-1)."""
    if message.recipient is not None:
        return Target(Channel(message.channel), message.recipient)
    if sms and message.staff_phone:
        return Target(Channel.SMS, message.staff_phone)
    return Target(Channel.EMAIL, message.staff_email or "")


def letter(message: Claimed, to: Target, platform: str) -> Letter:
    """The mail's words; `platform` signs for an organisation that was not heard of in time."""
    return write(message.template, _setting(message, to, platform), _params(message))


def sms_text(message: Claimed, to: Target, platform: str) -> str:
    return short_text(message.template, _setting(message, to, platform), _params(message))


def linked(message: Claimed, settings: LetterSettings) -> Claimed:
    """A letter to an account with its link, which is in nothing that is stored."""
    if message.template not in ACCOUNT_LETTERS:
        return message
    letter_id, until = UUID(message.params["letter_id"]), datetime.fromisoformat(message.params["expires_at"])
    minutes = math.ceil((until - message.now).total_seconds() / 60)
    return replace(message, params={"link": link_of(settings, letter_id, until), "minutes": minutes})


def envelope(message: Claimed, to: Target, sender: str, platform: str) -> Envelope:
    return Envelope(
        message_id=message.message_id,
        template=message.template,
        language=_language(message),
        sender=sender,
        sender_name=message.organisation_name or platform,
        reply_to=message.staff_email,
        recipient=to.address,
        recipient_name=message.recipient_name,
        order_id=message.order_id,
    )


def _no_payment_awaited(message: Claimed) -> str | None:
    state = message.order_state or {}
    if state.get("stage") != FunnelStage.AWAITING_PAYMENT or state.get("payment_status") != PaymentStatus.NOT_PAID:
        return "the order awaits no payment"
    if datetime.fromisoformat(message.params["pay_by"]) <= message.now:
        return "the time to pay is over"
    return None


def _setting(message: Claimed, to: Target, platform: str) -> Setting:
    return Setting(
        organisation=message.organisation_name or platform,
        time_zone=message.time_zone or "UTC",
        language=_language(message),
        name=message.recipient_name,
        address=to.address,
    )


def _language(message: Claimed) -> str:
    return language_of(message.organisation_locale if message.recipient is None else message.locale)


def _params(message: Claimed) -> dict[str, Any]:
    params = dict(message.params)
    if message.template == Template.ORDER_CANCELLED:
        params.setdefault("starts_at", message.document_starts_at)
    if message.template == Template.SHOW_REMINDER and message.show_starts_at:
        params["starts_at"] = message.show_starts_at
    return params
