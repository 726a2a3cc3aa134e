"""Handing over what is due: retries, refusals, outages, suppressions and leases, against real servers."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from sqlalchemy import text, update
from sqlalchemy.exc import IntegrityError

from chassis.jobs import Job, Turn, run_forever
from contracts.envelope import decode
from contracts.notifications import Channel, MessageFailed, MessageSent
from contracts.orders import Participant
from services.notifications.delivery import claims
from services.notifications.lanes import Lane
from services.notifications.models import Message, Status
from services.notifications.recipients import recipient_hash
from tests.harness import eventually
from tests.notifications.conftest import Office
from tests.notifications.servers import PDF
from tests.notifications.story import Story

OLENA = Participant(name="Олена Шевченко", email="olena@example.com")
TARAS = Participant(name="Тарас Мельник", email="taras@example.com")


async def test_each_participant_gets_one_mail_with_the_pdf(office: Office):
    story = office.story(guests=(OLENA, TARAS, OLENA))
    await office.hear_organisation()
    await office.hear(story.placed(), story.paid(), story.issued())
    await office.deliver()
    assert sorted(str(mail["To"].addresses[0].addr_spec) for mail in office.smtp.mails) == [OLENA.email, TARAS.email]
    (mail,) = office.smtp.to("taras@example.com")
    assert mail["Subject"].startswith("Ваш квиток: Лісова пісня")
    assert str(mail["From"]) == "Театр Франка <tickets@footlights.example>"
    assert mail["Reply-To"] == "kasa@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    (attachment,) = mail.iter_attachments()
    assert attachment.get_content() == PDF
    assert attachment.get_filename() == f"Квиток {story.number}-2.pdf"
    sent = await office.messages(template="tickets_issued", status="sent")
    assert len(sent) == 2
    (attempt,) = await office.attempts(sent[0])
    assert (attempt.outcome, attempt.number) == ("sent", 1)
    assert sent[0].status == Status.SENT
    assert office.smtp.connections == 1


async def test_a_soft_refusal_is_tried_again_and_logged(office: Office):
    office.smtp.rcpt = ["451 4.7.1 greylisted"]
    office.smtp.data = ["452 4.3.1 no space"]
    await paid_order(office)
    await office.deliver()
    message = await office.only(template="tickets_issued")
    assert (message.status, office.smtp.mails) == (Status.SENDING, [])
    assert "greylisted" in (message.reason or "")
    await office.hurry()
    await office.deliver()
    await office.hurry()
    await office.deliver()
    message = await office.only(template="tickets_issued")
    assert (message.status, message.attempts, message.reason) == (Status.SENT, 3, None)
    assert [attempt.outcome for attempt in await office.attempts(message)] == ["retry", "retry", "sent"]
    assert len(office.smtp.mails) == 1


async def test_a_hard_refusal_is_final_and_concerns_one_recipient(office: Office):
    office.smtp.rcpt = ["550 5.1.1 no such user"]
    await paid_order(office, OLENA, TARAS)
    await office.deliver()
    by_status = {message.status: message for message in await office.messages(template="tickets_issued")}
    assert set(by_status) == {Status.SENT, Status.FAILED}
    assert by_status[Status.FAILED].reason == "550 5.1.1 no such user"
    assert len(office.smtp.mails) == 1
    assert office.smtp.connections == 1, "a refusal does not cost the connection"


async def test_a_connection_that_breaks_in_the_text_is_repeated(office: Office):
    office.smtp.break_in_data = 1
    await paid_order(office)
    await office.deliver()
    assert (await office.only(template="tickets_issued")).status == Status.SENDING
    await office.hurry()
    await office.deliver()
    assert (await office.only(template="tickets_issued")).status == Status.SENT
    assert len(office.smtp.mails) == 1


async def test_a_mail_that_was_taken_without_an_answer_comes_again_under_the_same_message_id(office: Office):
    office.smtp.vanish_after_data = 1
    await paid_order(office)
    await office.deliver()
    await office.hurry()
    await office.deliver()
    assert (await office.only(template="tickets_issued")).status == Status.SENT
    assert list(office.smtp.message_ids.values()) == [2], "whoever keeps mails by Message-ID has one"


async def test_a_slow_server_gets_its_time_and_the_lease_lives_on(office: Office):
    office.smtp.delay_seconds = 1.5
    await paid_order(office)
    first, second = office.courier(lease_seconds=0.5), office.courier(lease_seconds=0.5)
    slow = asyncio.create_task(office.deliver(first))
    await eventually(lambda: office.smtp.connections == 1)
    while not slow.done():
        assert await second.run(office.db) == 0
        await asyncio.sleep(0.05)
    assert await slow == 1
    assert len(office.smtp.mails) == 1


async def test_a_server_that_is_slower_than_our_patience_is_asked_again_later(office: Office):
    office.smtp.delay_seconds = 1
    await paid_order(office)
    await office.deliver(office.courier(smtp_data_seconds=0.2))
    message = await office.only(template="tickets_issued")
    assert message.status == Status.SENDING
    assert "Timed out" in (message.reason or "")


async def test_an_outage_of_the_mail_server_costs_no_attempts(office: Office):
    await office.smtp.stop()
    await paid_order(office, OLENA, TARAS)
    courier = office.courier()
    assert await courier.run(office.db) == 0
    assert await courier.run(office.db) == 0, "it does not knock all the time"
    waiting = await office.messages(template="tickets_issued")
    assert [(message.status, message.attempts) for message in waiting] == [(Status.SENDING, 0)] * 2
    await office.smtp.start()
    await eventually(lambda: courier.run(office.db))
    assert [message.attempts for message in await office.messages(status="sent")] == [1, 1]


@pytest.mark.slow
async def test_a_mail_server_that_is_down_for_20_seconds_loses_and_doubles_nothing(office: Office):
    courier = office.courier()
    work = asyncio.create_task(run_forever(Job("deliver", 0.2, courier.run), office.db, Turn(office.db)))
    try:
        await paid_order(office)
        await eventually(lambda: len(office.smtp.mails) == 1)
        await office.smtp.stop()
        for _ in range(10):
            await paid_order(office, OLENA, TARAS)
        await asyncio.sleep(20)
        assert len(office.smtp.mails) == 1
        await office.smtp.start()
        await eventually(lambda: len(office.smtp.mails) == 21, timeout=30)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert set(office.smtp.message_ids.values()) == {1}
    assert {message.attempts for message in await office.messages(status="sent")} == {1}


async def test_the_connection_is_kept_and_replaced_when_the_server_has_closed_it(office: Office):
    courier = office.courier()
    for _ in range(3):
        await paid_order(office)
        await office.deliver(courier)
    assert office.smtp.connections == 1
    await office.smtp.stop()
    await office.smtp.start()
    await paid_order(office)
    await office.deliver(courier)
    assert len(office.smtp.mails) == 4
    assert {message.attempts for message in await office.messages(status="sent")} == {1}


async def test_the_mail_waits_for_its_document(office: Office):
    office.documents.answers = [web.Response(status=503), web.Response(text="<html>", content_type="text/html")]
    await paid_order(office)
    for _ in range(3):
        await office.deliver()
        await office.hurry()
    message = await office.only(template="tickets_issued")
    assert (message.status, message.attempts) == (Status.SENT, 3)
    (mail,) = office.smtp.mails
    assert len(list(mail.iter_attachments())) == 1


async def test_a_mail_does_not_wait_for_the_documents_of_those_behind_it(office: Office):
    await paid_order(office, OLENA)
    second = await paid_order(office, TARAS)
    (document,) = second.issued().data.documents
    gate = office.documents.gates[urlsplit(document.url).path] = asyncio.Event()
    work = asyncio.create_task(office.deliver())
    await eventually(lambda: office.smtp.to("olena@example.com"))
    assert len(office.documents.asked) == 2
    assert not office.smtp.to("taras@example.com")
    gate.set()
    assert await work == 2


async def test_void_tickets_are_not_mailed(office: Office):
    story = await paid_order(office)
    await office.hear(story.voided())
    await office.deliver()
    message = await office.only(template="tickets_issued")
    assert (message.status, message.reason) == (Status.SUPPRESSED, "the tickets are no longer valid")
    assert office.smtp.mails == []


async def test_one_void_ticket_of_two_does_not_keep_the_other_from_being_mailed(office: Office):
    """Nor its reminder; when both are void, there is nothing left to mail."""
    half, none = [await paid_order(office, OLENA, OLENA) for _ in range(2)]
    await office.hear(half.voided(2), none.voided(1), none.voided(2))
    await office.hurry(reminders=True)
    await office.deliver()
    messages = await office.messages()
    assert {(m.template, m.status) for m in messages if m.order_id == half.order_id} == {
        ("tickets_issued", Status.SENT),
        ("show_reminder", Status.SENT),
    }
    assert {m.status for m in messages if m.order_id == none.order_id} == {Status.SUPPRESSED}


async def test_a_document_that_was_withdrawn_suppresses_the_mail(office: Office):
    office.documents.always = web.Response(status=410)
    await paid_order(office)
    await office.deliver()
    assert (await office.only(template="tickets_issued")).status == Status.SUPPRESSED


async def test_a_message_waits_for_its_order_and_its_organisation(office: Office):
    story = office.story(guests=(OLENA,), locale="pl")
    await office.hear(story.issued())
    assert await office.deliver() == 0
    await office.hear_organisation()
    assert await office.deliver() == 0, "the language of the order is still unknown"
    await office.hear(story.placed(), story.paid())
    assert await office.deliver() == 1
    assert office.smtp.mails[0]["Subject"].startswith("Twój bilet: ")


async def test_after_a_while_it_waits_no_longer(office: Office):
    story = office.story(guests=(OLENA,), locale="pl")
    await office.hear_organisation(locale="ru")
    await office.hear(story.issued())
    await office.hurry()
    await office.deliver()
    assert office.smtp.mails[0]["Subject"].startswith("Ваш билет")


async def test_old_news_is_not_sent(office: Office):
    story = office.story(guests=(OLENA,))
    story.now -= timedelta(days=30)
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    message = await office.only(template="tickets_issued")
    assert (message.status, office.smtp.mails) == (Status.SUPPRESSED, [])


async def test_an_attempt_that_was_cut_off_is_taken_over_when_its_lease_ends(office: Office):
    await paid_order(office)
    async with office.db.as_worker() as session:
        (claimed,) = await claims.claim(session, Lane.ORDINARY, 10, 60)
    other = office.courier()
    assert await other.run(office.db) == 0
    await office.hurry()  # the lease is over
    assert await other.run(office.db) == 1
    message = await office.only(template="tickets_issued")
    assert (message.status, message.attempts) == (Status.SENT, 2)
    assert [attempt.outcome for attempt in await office.attempts(message)] == [None, "sent"]
    assert office.smtp.mails[0]["Message-ID"] == f"<{claimed.message_id}@footlights.example>"


async def test_a_sender_that_lost_its_lease_changes_nothing(office: Office):
    await paid_order(office)
    async with office.db.as_worker() as session:
        (stale,) = await claims.claim(session, Lane.ORDINARY, 10, 0)
    async with office.db.as_worker() as session:
        (fresh,) = await claims.claim(session, Lane.ORDINARY, 10, 1)
    async with office.db.as_worker() as session:
        await claims.again(session, stale, 900, "451 later", counted=True)
        end = claims.End(Status.FAILED, Channel.EMAIL, "olena@example.com", "550")
        refused = await claims.finish(await session.connection(), stale, end)
    assert not refused
    message = await office.only(template="tickets_issued")
    assert (message.status, message.attempt_id) == (Status.SENDING, fresh.attempt_id)


async def test_a_message_never_moves_back(office: Office):
    await paid_order(office)
    await office.deliver()
    for status in ("pending", "sending", "failed"):
        with pytest.raises(IntegrityError, match="cannot go from sent"):
            async with office.db.as_worker() as session:
                await session.execute(update(Message).values(status=status))


async def test_being_asked_to_stop_finishes_the_mail_and_gives_back_the_others(office: Office):
    office.smtp.gate = asyncio.Event()
    for _ in range(3):
        await paid_order(office)
    work = asyncio.create_task(office.deliver())
    await eventually(lambda: office.smtp.receiving == 1)
    work.cancel()
    await asyncio.sleep(0)
    office.smtp.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(office.smtp.mails) == 1
    states = sorted(
        (message.status, message.attempt_id is None) for message in await office.messages(template="tickets_issued")
    )
    assert states == [("sending", True), ("sending", True), ("sent", True)]
    assert await office.deliver() == 2
    assert set(office.smtp.message_ids.values()) == {1}


async def test_what_became_of_a_message_is_published(office: Office):
    office.smtp.rcpt = ["250 ok", "550 no"]
    await paid_order(office, OLENA, TARAS)
    await office.deliver()
    async with office.db.as_worker() as session:
        rows = (await session.execute(text("SELECT topic, key, value, headers FROM outbox ORDER BY id"))).all()
    events = [decode([(name, value.encode()) for name, value in row.headers], row.value) for row in rows]
    sent, failed = sorted((one.data for one in events), key=lambda data: data.event_type, reverse=True)
    assert isinstance(sent, MessageSent)
    assert isinstance(failed, MessageFailed)
    assert (sent.template, sent.attempts, sent.attachments) == ("tickets_issued", 1, 1)
    assert failed.reason.startswith("550")
    addresses = {recipient_hash("olena@example.com"), recipient_hash("taras@example.com")}
    assert {sent.recipient_hash, failed.recipient_hash} == addresses
    assert all(one.organisation == office.organisation for one in events)


async def paid_order(office: Office, *guests: Participant) -> Story:
    story = office.story(guests=guests or (OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    return story
