"""From a paid order to tickets, registrations and documents, over HTTP and Kafka (REG-1..10, DOC-1, TKT-15)."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import cv2
import numpy
import pytest
from aiokafka import AIOKafkaConsumer
from pypdf import PdfReader

from contracts.accounts import AccountRegistered, Role
from contracts.envelope import Event, EventData, decode
from contracts.orders import Customer, Participant
from contracts.ticketing import HoldConversionRefused, HoldReleased, TicketsIssued, TicketsVoided
from services.ticketing.tickets.codes import judge, keys_of
from tests.events import event, organisation_registered
from tests.harness import eventually
from tests.ticketing.plans import two_categories
from tests.ticketing.theatre import SHOW_TIME


class Ear:
    """Hears what the service publishes about some orders."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.events: list[Event[EventData]] = []

    async def about(self, order_id: Any, *kinds: type[EventData], count: int = 1) -> list[Any]:
        async def check() -> list[Any] | None:
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                self.events += [decode(record.headers, record.value) for record in records]
            found = [e.data for e in self.events if isinstance(e.data, kinds) and e.data.key() == UUID(str(order_id))]
            return found if len(found) >= count else None

        return await eventually(check) or []


@pytest.fixture
async def ear(kafka):
    consumer = AIOKafkaConsumer(
        "ticketing.ticket", "ticketing.hold", bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    yield Ear(consumer)
    await consumer.stop()


async def document(theatre, url: str) -> tuple[int, Any]:
    answer = await theatre.call("GET", url.removeprefix("http://gateway.test/api/ticketing"), role=None)
    return answer.status, answer.body


def read_pdf(raw: bytes) -> tuple[list[str], list[str]]:
    """The text and the QR code of each page."""
    pages = PdfReader(io.BytesIO(raw)).pages
    codes = []
    for page in pages:
        (picture,) = page.images
        image = cv2.imdecode(numpy.frombuffer(picture.data, numpy.uint8), cv2.IMREAD_GRAYSCALE)
        # Either misses one code in fifty, never the same one.
        readers = (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco())
        codes.append(next(filter(None, (reader.detectAndDecode(image)[0] for reader in readers)), ""))
    return [page.extract_text() for page in pages], codes


async def test_a_paid_order_becomes_tickets_for_each_participant(theatre, ear):
    await theatre.tell(organisation_registered(theatre.organisation, name="Театр ім. Лесі", time_zone="Europe/Kyiv"))
    show = await theatre.show(seating=two_categories(), price=45_050)
    hold = (await theatre.hold(show, "1-1", "1-2", "b1-1")).body
    order = theatre.order(
        hold,
        participants={
            "1-1": Participant(name="Жанна Їжакевич", email="zhanna@example.com"),
            "1-2": Participant(name="Ґалина Щур", email="ZHANNA@example.com"),
            "b1-1": Participant(name="Łucja Żółć-Gęśla", email="lucja@example.com"),
        },
    )
    await theatre.tell(order.placed(), order.paid())
    (issued,) = await ear.about(hold["hold_id"], TicketsIssued)
    assert [len(d.ticket_ids) for d in issued.documents] == [2, 1]
    assert {ticket.holder.name for ticket in issued.tickets} == {"Жанна Їжакевич", "Ґалина Щур", "Łucja Żółć-Gęśla"}
    assert len({ticket.number for ticket in issued.tickets}) == 3
    await theatre.see(show, **{"1-1": "sold", "1-2": "sold", "b1-1": "sold"})

    tickets = {t["holder"]["name"]: t for t in await theatre.tickets(hold["hold_id"], 3)}
    status, raw = await document(theatre, issued.documents[0].url)
    assert status == 200
    texts, codes = read_pdf(raw)
    assert codes == [tickets[name]["code"] for name in ("Жанна Їжакевич", "Ґалина Щур")]
    published = (await theatre.call("GET", "/.well-known/ticket-keys.json", role=None)).body
    days = [SHOW_TIME.astimezone(ZoneInfo("Europe/Kyiv")).date()]
    told = [judge(code, keys_of(published), show_id=UUID(show["show_id"]), days=days) for code in codes]
    assert [str(each.ticket_id) for each in told] == [tickets[n]["ticket_id"] for n in ("Жанна Їжакевич", "Ґалина Щур")]
    for said in (
        "Театр ім. Лесі",
        "Тіні забутих предків",
        "Жанна Їжакевич",
        "ряд 1",
        "місце 1",
        "Мала сцена",
        "Квиток",
    ):
        assert said in texts[0]
    assert "450,50" in texts[0]
    assert "19:00" in texts[0]
    assert f"№ {tickets['Жанна Їжакевич']['number']}" in texts[0]
    _, raw = await document(theatre, issued.documents[1].url)
    texts, codes = read_pdf(raw)
    assert codes == [tickets["Łucja Żółć-Gęśla"]["code"]]
    assert "Łucja Żółć-Gęśla" in texts[0]
    assert "Rząd 1, Miejsce 1" in texts[0]


async def test_the_letter_names_the_seat_as_the_ticket_does_and_staff_read_their_own_language(theatre, ear):
    await theatre.tell(organisation_registered(theatre.organisation, locale="uk"))
    hold = (await theatre.hold(await theatre.show(), "1-1")).body
    await theatre.tell(theatre.order(hold, locale="pl").paid())
    (issued,) = await ear.about(hold["hold_id"], TicketsIssued)
    assert [ticket.label for ticket in issued.tickets] == ["Партер, rząd 1, miejsce 1"]
    assert [ticket["label"] for ticket in await theatre.tickets(hold["hold_id"], 1)] == ["Партер, ряд 1, місце 1"]


async def test_registrations_show_what_was_ordered_and_what_the_person_entered(theatre, tokens):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1", "1-2")).body
    people = {
        "1-1": Participant(name="Ivan", email="ivan@example.com", phone="+380501112233"),
        "1-2": Participant(name="Марія", email=f"maria-{hold['hold_id']}@example.com"),
    }
    await theatre.tell(theatre.order(hold, participants=people).paid())
    tickets = await theatre.tickets(hold["hold_id"], 2)
    account = AccountRegistered(
        account_id=uuid4(),
        email=people["1-2"].email,
        name="Марія Приймаченко",
        phone="+380670000001",
        locale="uk",
        shared_with=(theatre.organisation,),
    )
    anybody = AccountRegistered(
        account_id=uuid4(),
        email="ivan@example.com",
        name="Somebody Else",
        phone="+380931112233",
        locale="uk",
        shared_with=(uuid4(),),
    )
    await theatre.tell(event(anybody, None))
    await theatre.tell(event(account, None))

    async def registered() -> list[dict[str, Any]] | None:
        answer = await theatre.call("GET", f"/registrations?order_id={hold['hold_id']}", role=Role.TICKET_DESK)
        return answer.body["items"] if answer.body["items"][1]["registered"] else None

    rows = await eventually(registered)
    assert [row["number"] for row in rows] == [ticket["number"] for ticket in tickets]
    assert rows[0]["ordered"] == {"name": "Ivan", "email": "ivan@example.com", "phone": "+380501112233"}
    assert rows[0]["registered"] is None, "an address in an order shows nothing of whose it is"
    assert rows[0]["contact"] == rows[0]["ordered"]
    assert rows[1]["ordered"]["name"] == "Марія"
    assert rows[1]["registered"]["name"] == "Марія Приймаченко"
    assert tickets[1]["holder"]["name"] == "Марія"
    _, raw = await document(theatre, tickets[1]["document_url"])
    assert "Приймаченко" not in read_pdf(raw)[0][0]
    by_show = await theatre.call("GET", f"/registrations?show_id={show['show_id']}")
    assert len(by_show.body["items"]) == 2
    stranger = tokens.staff(uuid4(), Role.TICKET_DESK)
    assert (await theatre.call("GET", "/registrations", token=stranger)).body["items"] == []
    assert (await theatre.call("GET", f"/orders/{hold['hold_id']}/tickets", token=stranger)).body["items"] == []


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("pl", ("Bilet", "Miejsce", "Strefa cenowa", "rząd 1", "miejsce 1", "marca 2097")),
        ("ru", ("Билет", "Место", "Ценовой пояс", "ряд 1", "место 1", "марта 2097")),
        ("en", ("Ticket", "Price zone", "row 1", "seat 1", "March 2097")),
        ("xx", ("Ticket",)),
    ],
)
async def test_documents_speak_the_language_of_the_order(theatre, locale, words):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    await theatre.tell(theatre.order(hold, locale=locale).paid())
    (ticket,) = await theatre.tickets(hold["hold_id"], 1)
    _, raw = await document(theatre, ticket["document_url"])
    (text,), (code,) = read_pdf(raw)
    for word in words:
        assert word in text
    assert code == ticket["code"]


async def test_a_participant_without_an_address_is_reached_through_the_customer(theatre, ear):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1", "1-2")).body
    customer = Customer(name="Пан Замовник", email="zamovnyk@example.com")
    await theatre.tell(theatre.order(hold, participants={"1-1": Participant(name="Дитина")}, customer=customer).paid())
    (issued,) = await ear.about(hold["hold_id"], TicketsIssued)
    (one,) = issued.documents
    assert (one.recipient.email, len(one.ticket_ids)) == ("zamovnyk@example.com", 2)
    assert {t.holder.name for t in issued.tickets} == {"Дитина", "Пан Замовник"}


async def test_events_that_come_again_change_nothing(theatre, ear):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    order = theatre.order(hold)
    paid = order.paid()
    await theatre.tell(paid, paid, order.paid(), order.placed())
    tickets = await theatre.tickets(hold["hold_id"], 1)
    assert (await theatre.seats(show))["1-1"] == "sold"
    # The refund behind it shows that the late news was heard: it changed nothing.
    await theatre.tell(order.expired(), order.revoked())
    (voided,) = await ear.about(hold["hold_id"], TicketsVoided)
    assert [ticket.ticket_id for ticket in voided.tickets] == [UUID(tickets[0]["ticket_id"])]
    told = [each.data for each in ear.events if each.data.key() == UUID(hold["hold_id"])]
    assert len([data for data in told if isinstance(data, TicketsIssued)]) == 1
    assert not any(isinstance(data, HoldReleased) for data in told)


async def test_revoked_tickets_are_void_and_their_seats_free(theatre, ear):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1", "1-2")).body
    order = theatre.order(hold)
    await theatre.tell(order.paid())
    tickets = await theatre.tickets(hold["hold_id"], 2)
    request = uuid4()
    await theatre.tell(order.revoked("1-1", request=request))
    (voided,) = await ear.about(hold["hold_id"], TicketsVoided)
    assert (voided.request_id, [t.seat for t in voided.tickets], voided.reason) == (request, ["1-1"], "refunded")
    await theatre.see(show, **{"1-1": "free", "1-2": "sold"})
    assert (await theatre.hold(show, "1-1")).status == 201
    status, raw = await document(theatre, tickets[1]["document_url"])
    assert (status, len(read_pdf(raw)[0])) == (200, 1)

    # Asked again, it is answered again; everything void, the document is gone.
    await theatre.tell(order.revoked("1-1", request=request), order.revoked("1-2"))
    answers = await ear.about(hold["hold_id"], TicketsVoided, count=3)
    assert [[t.seat for t in a.tickets] for a in answers] == [["1-1"], ["1-1"], ["1-2"]]
    status, problem = await document(theatre, tickets[1]["document_url"])
    assert (status, problem["type"]) == (410, "/problems/tickets-void")
    assert (await theatre.seats(show))["1-1"] == "held"


async def test_a_refund_that_overtakes_the_payment_leaves_no_ticket(theatre, ear):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1", "1-2")).body
    order = theatre.order(hold)
    await theatre.tell(order.revoked("1-1"))
    (voided,) = await ear.about(hold["hold_id"], TicketsVoided)
    assert voided.tickets == ()
    await theatre.tell(order.paid())
    (ticket,) = await theatre.tickets(hold["hold_id"], 1)
    assert ticket["seat"] == "1-2"
    await theatre.see(show, **{"1-1": "free", "1-2": "sold"})


async def test_an_order_cancelled_before_it_had_tickets_never_gets_any(theatre, ear):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    order = theatre.order(hold)
    await theatre.tell(order.placed(), order.cancelled())
    await theatre.see(show, **{"1-1": "free"})
    await theatre.tell(order.paid())
    (refused,) = await ear.about(hold["hold_id"], HoldConversionRefused)
    assert "cancelled" in refused.reason
    assert (await theatre.call("GET", f"/orders/{hold['hold_id']}/tickets")).body["items"] == []


async def test_a_placed_order_keeps_its_seats_until_it_must_be_paid(theatre):
    show = await theatre.show()
    hold = (await theatre.hold(show, "1-1")).body
    pay_by = datetime.now(UTC) + timedelta(days=3)
    await theatre.tell(theatre.order(hold).placed(pay_by))

    async def prolonged() -> bool:
        answer = await theatre.call("GET", f"/holds/{hold['hold_id']}", role=Role.TICKET_DESK)
        return datetime.fromisoformat(answer.body["expires_at"]) == pay_by + timedelta(seconds=120)

    await eventually(prolonged)
    annulled = await theatre.call("DELETE", f"/holds/{hold['hold_id']}", role=Role.TICKET_DESK)
    assert (annulled.status, annulled.body["type"]) == (409, "/problems/hold-ordered")


async def test_links_open_one_document_only(theatre):
    for token in ("nonsense", "a.b.c"):
        answer = await theatre.call("GET", f"/documents/{token}", role=None)
        assert answer.status == 401
