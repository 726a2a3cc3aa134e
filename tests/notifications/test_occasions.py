"""Which change is told to whom, and when it is told no more."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from aiohttp import web

from contracts.orders import Customer, LineKind, Participant, PaymentMethod
from contracts.ticketing import ShowStatus
from services.notifications.delivery import claims
from services.notifications.lanes import Lane
from services.notifications.models import Status
from tests.notifications.conftest import Office

OLENA = Participant(name="Олена Шевченко", email="olena@example.com")
TARAS = Participant(name="Тарас Мельник", email="taras@example.com")
NAMELESS = Participant(name="Гість")
PHONE_ONLY = Participant(name="Оля", phone="+380671234567")


async def templates(office: Office) -> list[tuple[str, str | None]]:
    return sorted((message.template, message.recipient) for message in await office.messages())


async def test_an_order_that_was_never_paid_is_cancelled_in_silence(office: Office):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.interested(), story.placed(), story.cancelled(was_paid=False))
    await office.hurry()
    await office.deliver()
    assert office.smtp.mails == []
    message = await office.only()
    assert (message.status, message.reason) == (Status.SUPPRESSED, "the order awaits no payment")


async def test_an_order_that_expired_is_not_mentioned(office: Office):
    story = office.story()
    await office.hear_organisation()
    await office.hear(story.interested(), story.placed(), story.expired())
    await office.hurry()
    await office.deliver()
    assert office.smtp.mails == []


async def test_a_buyer_who_wanders_off_gets_the_link_to_pay(office: Office):
    story = office.story(locale="en")
    await office.hear_organisation()
    await office.hear(story.placed())
    assert await office.deliver() == 0, "not while they are likely paying"
    await office.hurry()
    await office.deliver()
    (mail,) = office.smtp.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert f"/orders/{story.order_id}?key=secret" in body.get_content().replace("=\n", "")


async def test_the_link_to_pay_follows_the_method_and_its_deadline(office: Office):
    story = office.story(locale="en")
    await office.hear_organisation()
    await office.hear(story.placed(timedelta(minutes=15)))
    (before,) = await office.messages(template="order_placed")
    story.method = PaymentMethod.INVOICE
    await office.hear(story.waits(timedelta(days=5)))
    waiting = await office.only(template="order_placed")
    assert waiting.params["pay_by"] == (story.now + timedelta(days=5)).isoformat()
    assert waiting.due_at < before.due_at, "who waits for an invoice is told at once"
    await office.deliver()
    (mail,) = office.smtp.to(story.customer.email)
    body = mail.get_body(("plain",))
    assert body is not None
    assert "You asked for an invoice" in body.get_content()

    await office.hear(story.waits(timedelta(days=9)))
    await office.deliver()
    assert len(office.smtp.to(story.customer.email)) == 1, "what has gone out is not repeated"


async def test_back_to_the_card_the_letter_waits_again(office: Office):
    story = office.story(method=PaymentMethod.INVOICE)
    placed = story.placed(timedelta(days=5))
    story.method = PaymentMethod.CARD
    changed = story.waits(timedelta(minutes=15))
    await office.hear(placed, changed)
    await office.hear_organisation()
    waiting = await office.only(template="order_placed")
    assert waiting.params["payment_method"] == "card"
    assert waiting.due_at == changed.time + timedelta(seconds=office.settings.payment_reminder_seconds)
    assert await office.deliver() == 1, "only staff, about the invoice"


async def test_more_time_from_staff_keeps_the_moment_and_moves_the_deadline(office: Office):
    story = office.story()
    await office.hear_organisation()
    await office.hear(story.placed(timedelta(minutes=15)))
    before = await office.only()
    elsewhere = Customer(name="Олена Шевченко", email="right@example.com")
    older, newest = story.waits(timedelta(days=1)), story.waits(timedelta(days=2), customer=elsewhere)
    await office.hear(newest, older)
    waiting = await office.only()
    assert waiting.params["pay_by"] == (story.now + timedelta(days=2)).isoformat(), "the newest event decides"
    assert (waiting.due_at, waiting.give_up_at) == (before.due_at, before.give_up_at)
    assert waiting.recipient == "right@example.com"
    await office.hurry()
    await office.deliver()
    assert len(office.smtp.to("right@example.com")) == len(office.smtp.mails) == 1


async def test_a_buyer_who_has_paid_does_not_get_it(office: Office):
    story = office.story()
    await office.hear_organisation()
    await office.hear(story.placed(), story.paid())
    await office.hurry()
    await office.deliver()
    assert office.smtp.mails == []


async def test_nor_one_whose_time_is_over(office: Office):
    story = office.story()
    await office.hear_organisation()
    await office.hear(story.placed(pay_in=timedelta(seconds=-1)))
    await office.hurry()
    await office.deliver()
    assert (await office.only()).reason == "the time to pay is over"


async def test_participants_without_an_address_are_told_through_the_buyer(office: Office):
    story = office.story(guests=(OLENA, NAMELESS, TARAS, NAMELESS))
    await office.hear_organisation()
    await office.hear(story.paid(), story.cancelled(was_paid=True))
    told = {message.recipient: message for message in await office.messages(template="order_cancelled")}
    assert set(told) == {"olena@example.com", "taras@example.com", story.customer.email}
    assert len(told[story.customer.email].params["lines"]) == 2


async def test_whoever_holds_a_refunded_ticket_hears_of_it(office: Office):
    """The buyer, who holds one too, hears by the letter about the money."""
    buyer = Customer(name="Лариса", email="larysa@example.com")
    guests = (OLENA, TARAS, Participant(name=buyer.name, email=buyer.email))
    story, request = office.story(guests=guests, customer=buyer, locale="en"), uuid4()
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    for _ in range(2):
        await office.hear(story.voided(1, 3, reason="refunded", request=request))
    (told,) = await office.messages(template="order_cancelled")
    assert told.recipient == "olena@example.com"
    await office.deliver()
    (mail,) = [mail for mail in office.smtp.to("olena@example.com") if "cancelled" in mail["Subject"]]
    assert mail["Subject"] == "Your ticket is cancelled: Лісова пісня"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "has been cancelled" not in body.get_content(), "the order lives"
    assert "no longer valid" in body.get_content()
    # When the rest is cancelled, who has no ticket any more is not told again.
    await office.hear(story.voided(2, reason="cancelled"), story.cancelled(was_paid=True, void=(1, 3)))
    told_again = await office.messages(template="order_cancelled")
    assert sorted(message.recipient or "" for message in told_again) == ["olena@example.com", "taras@example.com"]


async def test_a_cancelled_course_speaks_of_the_order_and_not_of_tickets(office: Office):
    story = office.story(kind=LineKind.COURSE, locale="en")
    await office.hear_organisation()
    await office.hear(story.paid(), story.cancelled(was_paid=True))
    await office.deliver()
    (mail,) = office.smtp.mails
    assert mail["Subject"] == f"Order {story.number} is cancelled: Лісова пісня"


async def test_the_refund_names_the_amount_of_the_ledger(office: Office):
    story = office.story(guests=(OLENA, TARAS), locale="en")
    await office.hear_organisation()
    await office.hear(story.paid(), story.refunded(12_345, full=False), story.refunded(0, full=False))
    await office.deliver()
    (mail,) = office.smtp.mails
    assert mail["To"].addresses[0].addr_spec == story.customer.email
    assert "123.45" in mail["Subject"]


async def test_who_left_only_a_phone_gets_an_sms_with_the_link(office: Office):
    story = office.story(guests=(PHONE_ONLY,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    (message,) = office.sms.messages
    assert message["to"] == "+380671234567"
    assert message["text"].startswith("Театр Франка: ваш квиток, Лісова пісня, ")
    assert "/api/ticketing/documents/" in message["text"]
    assert office.sms.keys == [message["reference"]]


async def test_who_left_nothing_gets_nothing(office: Office):
    story = office.story(customer=Customer(name="Оля", email="not an address", phone="12"))
    await office.hear_organisation()
    await office.hear(story.placed(), story.paid(), story.issued(), story.refunded())
    assert await office.messages() == []


@pytest.mark.parametrize("phone", ["+380441234567", None])
async def test_staff_are_told_of_an_invoice_by_sms_or_else_by_mail(office: Office, phone: str | None):
    story = office.story(method=PaymentMethod.INVOICE, locale="pl")
    await office.hear_organisation(staff_phone=phone, locale="uk")
    await office.hear(story.placed())
    await office.deliver()
    texts = [message["text"] for message in office.sms.messages]
    mails = [str(mail["Subject"]) for mail in office.smtp.to("kasa@example.com")]
    wanted, other = (texts, mails) if phone else (mails, texts)
    assert len(wanted) == 1
    assert wanted[0].startswith(f"Замовлено рахунок: {story.number}"), "in the organisation's language"
    assert other == []
    told = await office.only(template="invoice_ordered")
    assert (told.status, told.channel, told.recipient) == (
        ("sent", "sms", phone) if phone else ("sent", "email", "kasa@example.com")
    )


async def test_staff_are_told_to_send_money_back(office: Office):
    story = office.story(method=PaymentMethod.INVOICE, locale="pl")
    await office.hear_organisation(locale="uk")
    due = story.refund_due(12_345)
    await office.hear(story.paid(), due, due)
    await office.deliver()
    (text,) = [message["text"] for message in office.sms.messages if message["to"] == "+380441234567"]
    assert text.startswith(f"Треба повернути гроші: {story.number}, 123,45")
    assert text.endswith(f", {story.customer.email}")
    assert not office.smtp.to(story.customer.email), "the buyer hears of it when the money was sent"


async def test_a_doubtful_sms_is_not_sent_twice(office: Office):
    office.sms.answers = [web.Response(status=500, text="hm")]
    story = office.story(guests=(PHONE_ONLY,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    await office.hurry()
    await office.deliver()
    message = await office.only(template="tickets_issued")
    assert message.status == Status.FAILED
    assert "may have sent it" in (message.reason or "")


async def test_an_sms_the_provider_did_not_take_is_tried_again(office: Office):
    office.sms.answers = [web.Response(status=429), web.Response(status=503)]
    story = office.story(guests=(PHONE_ONLY,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    for _ in range(3):
        await office.deliver()
        await office.hurry()
    assert len(office.sms.messages) == 1


async def test_an_sms_cut_off_by_a_crash_is_left_to_staff(office: Office):
    story = office.story(guests=(PHONE_ONLY,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    async with office.db.as_worker() as session:
        await claims.claim(session, Lane.ORDINARY, 10, 0)
    await office.deliver(office.courier(lease_seconds=0.1))
    message = await office.only(template="tickets_issued")
    assert (message.status, office.sms.messages) == (Status.FAILED, [])


async def test_a_student_gets_access_to_the_course(office: Office):
    story = office.story(kind=LineKind.COURSE, locale="ru")
    await office.hear_organisation()
    await office.hear(story.paid(), story.enrolled())
    await office.deliver()
    (mail,) = office.smtp.mails
    assert mail["Subject"] == "Доступ к курсу «Вокал для початківців»"


async def test_a_reminder_leaves_a_day_before_the_show(office: Office):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    reminder = await office.only(template="show_reminder")
    assert reminder.due_at == story.starts_at - timedelta(hours=24)
    await office.hurry(reminders=True)
    await office.deliver()
    assert (await office.only(template="show_reminder")).status == Status.SENT
    assert {mail["Subject"].split(":")[0] for mail in office.smtp.mails} == {"Ваш квиток", "Нагадування"}


async def test_there_is_no_reminder_of_a_show_that_is_too_near(office: Office):
    story = office.story(guests=(OLENA,), starts_in=timedelta(hours=23))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    assert await office.messages(template="show_reminder") == []


async def test_a_reminder_of_void_tickets_stays_home(office: Office):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    await office.hear(story.voided())
    await office.hurry(reminders=True)
    await office.deliver()
    assert (await office.only(template="show_reminder")).status == Status.SUPPRESSED
    assert len(office.smtp.mails) == 1


async def test_a_reminder_moves_with_its_show(office: Office):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    later = story.starts_at + timedelta(days=3)
    await office.hear(story.moved(later))
    assert (await office.only(template="show_reminder")).due_at == later - timedelta(hours=24)
    await office.hurry(reminders=True)
    await office.deliver()
    waiting = await office.only(template="show_reminder")
    assert waiting.status == Status.SENDING, "woken too early, it goes back to waiting"
    assert abs(waiting.due_at - (later - timedelta(hours=24))) < timedelta(seconds=5)


async def test_a_show_that_does_not_take_place_is_not_remembered(office: Office):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.moved(story.starts_at, ShowStatus.CANCELLED), story.paid(), story.issued())
    await office.hurry(reminders=True)
    await office.deliver()
    assert (await office.only(template="show_reminder")).reason == "the show does not take place"
