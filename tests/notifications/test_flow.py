"""What people find in their mailbox: events go in through Kafka, mails come out at the mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from contracts.accounts import Role
from contracts.envelope import Event
from contracts.orders import FunnelStage, LineKind, Participant, PaymentMethod
from deploy.platform.mailcatcher import Mail, MailCatcher
from services.notifications.main import create
from tests.events import publish
from tests.harness import Kafka, Postgres, TokenMint, eventually, serve
from tests.notifications import story as stories
from tests.notifications.conftest import settings_for
from tests.notifications.servers import PDF, DocumentServer, SmsServer, listening


def somebody(name: str) -> Participant:
    """With an address of their own: the service writes to everybody whom others' tests have named on the topics."""
    return Participant(name=name, email=f"{uuid4().hex[:8]}@example.com")


@dataclass
class Town:
    """The running service, and what the people of a town get from it."""

    url: str
    kafka: Kafka
    mail: MailCatcher
    sms: SmsServer
    documents: DocumentServer
    tokens: TokenMint
    http: aiohttp.ClientSession
    organisation: UUID

    def story(self, **more: Any) -> stories.Story:
        return stories.Story(self.organisation, public=self.documents.url, **more)

    async def happens(self, *events: Event[Any]) -> None:
        await publish(self.kafka.bootstrap_servers, events)

    async def staff(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        headers = self.tokens.headers(self.tokens.staff(self.organisation, Role.TICKET_DESK))
        async with self.http.request(method, f"{self.url}{path}", headers=headers, **more) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()

    async def quiet(self, told: stories.Story) -> list[dict[str, Any]]:
        """Waits until a later event of the same order has had its effect; what was to be sent by then is sent.

        A repeated delivery of the order's data serves as that event's effect.
        """
        await eventually(lambda: self._knows(told), timeout=30)
        accepted = await self.staff("POST", f"/orders/{told.order_id}/resend", 202)

        async def sent() -> bool:
            message = await self.staff("GET", f"/messages/{accepted['message_id']}")
            return bool(message["status"] == "sent")

        await eventually(sent, timeout=30)
        messages = await self.staff("GET", "/messages", params={"order_id": str(told.order_id)})
        return [item for item in messages["items"] if item["template"] != "order_data"]

    async def _knows(self, told: stories.Story) -> bool:
        headers = self.tokens.headers(self.tokens.staff(self.organisation, Role.TICKET_DESK))
        async with self.http.post(f"{self.url}/orders/{told.order_id}/resend", headers=headers) as answer:
            return answer.status == 202


@pytest.fixture(scope="module")
async def running(postgres: Postgres, kafka: Kafka, mail_server: MailCatcher, tokens: TokenMint) -> AsyncIterator[Town]:
    urls = await postgres.create_database("notifications")
    async with (
        listening(DocumentServer()) as documents,
        listening(SmsServer()) as sms,
        aiohttp.ClientSession() as http,
    ):
        assert isinstance(sms, SmsServer)
        settings = settings_for(
            urls,
            tokens,
            kafka,
            public_url=documents.url,
            sms_url=f"{sms.url}/send",
            smtp_url=mail_server.smtp_url,
            lease_seconds=3,
        )
        async with serve(create(settings)) as url:
            yield Town(url, kafka, mail_server, sms, documents, tokens, http, uuid4())
    await postgres.drop_database(urls)


@pytest.fixture
async def town(running: Town, mail: MailCatcher) -> Town:
    """The town with empty mailboxes."""
    running.sms.messages.clear()
    running.organisation = uuid4()
    await running.happens(stories.organisation(running.organisation))
    return running


async def letters(town: Town, address: str, count: int = 1) -> list[Mail]:
    await eventually(lambda: len(town.mail.to(address)) >= count, timeout=30)
    return town.mail.to(address)


async def test_a_paid_order_brings_every_participant_their_tickets(town: Town):
    olena, taras = somebody("Олена Шевченко"), somebody("Тарас Мельник")
    told = town.story(guests=(olena, taras, olena))
    await town.happens(told.placed(), told.paid(), told.issued(), told.issued())
    (to_olena,) = await letters(town, olena.email or "")
    (to_taras,) = await letters(town, taras.email or "")
    assert [file.content for file in (*to_olena.attachments, *to_taras.attachments)] == [PDF, PDF]
    assert f"Квиток {told.number}-2: Партер, ряд 1, місце 2, Тарас Мельник" in to_taras.text
    assert f"{told.number}-1" in to_olena.text
    assert f"{told.number}-3" in to_olena.text
    sent = [item["template"] for item in await town.quiet(told) if item["status"] == "sent"]
    assert sent == ["tickets_issued", "tickets_issued"]


async def test_a_paid_order_that_is_cancelled_is_told_to_every_participant(town: Town):
    olena, taras = somebody("Олена Шевченко"), somebody("Тарас Мельник")
    told = town.story(guests=(olena, taras))
    await town.happens(told.placed(), told.paid(), told.issued())
    await letters(town, olena.email or "")
    await letters(town, taras.email or "")
    await town.happens(told.voided(), told.cancelled(was_paid=True))
    for address in (olena.email or "", taras.email or ""):
        _, cancelled = await letters(town, address, 2)
        assert cancelled.subject == "Ваш квиток скасовано: Лісова пісня"
        assert cancelled.attachments == ()


async def test_an_unpaid_order_is_cancelled_in_silence(town: Town):
    olena = somebody("Олена Шевченко")
    told = town.story(guests=(olena,))
    await town.happens(told.interested(), told.placed(), told.cancelled(was_paid=False))
    messages = await town.quiet(told)
    assert [item["status"] for item in messages if item["template"] != "order_placed"] == []
    assert town.mail.to(olena.email or "") == []


@pytest.mark.parametrize("stage", [FunnelStage.WISHLIST, FunnelStage.WATCHING_PRICE])
async def test_a_wish_or_a_watched_price_is_not_answered(town: Town, stage: FunnelStage):
    told = town.story()
    await town.happens(told.at_stage(stage))
    assert await town.quiet(told) == []


async def test_staff_get_an_sms_when_somebody_orders_an_invoice(town: Town):
    told = town.story(method=PaymentMethod.INVOICE)
    await town.happens(told.interested(), told.placed())
    (message,) = await eventually(lambda: town.sms.messages, timeout=30)
    assert message["to"] == "+380441234567"
    assert message["text"].startswith(f"Замовлено рахунок: {told.number}, Лісова пісня")


async def test_a_student_gets_access_to_the_course(town: Town):
    told = town.story(kind=LineKind.COURSE)
    await town.happens(told.placed(), told.paid(), told.enrolled())
    (mail,) = await letters(town, told.customer.email or "")
    assert mail.subject == "Доступ до курсу «Вокал для початківців»"
    assert f"{town.documents.url}/courses/1?access=abc" in mail.text
    assert f"Ім’я для входу: {told.customer.email}" in mail.text


async def test_staff_send_the_orders_data_once_more(town: Town):
    told = town.story(locale="pl")
    await town.happens(told.placed(), told.paid(), told.issued())
    await letters(town, told.customer.email or "")
    await eventually(lambda: town._knows(told), timeout=30)
    mails = await letters(town, told.customer.email or "", 2)
    assert mails[-1].subject == f"Zamówienie {told.number}: Лісова пісня"
    assert "125,50 UAH" in mails[-1].text.replace("\xa0", " ")


async def test_the_refund_is_told_to_the_buyer(town: Town):
    told = town.story(locale="en")
    await town.happens(told.placed(), told.paid(), told.refunded())
    (mail,) = await letters(town, told.customer.email or "")
    assert mail.subject.startswith("Refund of")
    assert "125.50" in mail.subject
