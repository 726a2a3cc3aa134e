"""What staff see of messages and may do with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from chassis.retention import forget
from contracts.accounts import Role
from contracts.orders import Customer, Participant
from services.notifications import retention
from services.notifications.bounces.collect import record
from services.notifications.bounces.report import Report
from services.notifications.main import create
from tests.harness import TokenMint, serve
from tests.notifications.conftest import Office

OLENA = Participant(name="Олена Шевченко", email="olena@example.com")
TARAS = Participant(name="Тарас Мельник", email="taras@example.com")


class Desk:
    """A member of staff at the service's HTTP interface."""

    def __init__(self, url: str, tokens: TokenMint, office: Office) -> None:
        self.url, self.tokens, self.office = url, tokens, office

    async def ask(
        self, method: str, path: str, *, status: int = 200, roles: tuple[Role, ...] = (Role.TICKET_DESK,),
        organisation: UUID | None = None, headers: dict[str, str] | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        token = self.tokens.staff(organisation or self.office.organisation, *roles)
        sent = {**self.tokens.headers(token), **(headers or {})}
        async with self.office.http.request(method, f"{self.url}{path}", headers=sent, **more) as answer:
            body = await answer.json(content_type=None)
            assert answer.status == status, body
            self.headers = answer.headers
            return body


@pytest.fixture
async def desk(office: Office, tokens: TokenMint) -> AsyncIterator[Desk]:
    # No broker is there: nothing is consumed or delivered unless the test does it.
    app = create(office.settings.model_copy(update={"delivery_batch": 1, "kafka_bootstrap_servers": "127.0.0.1:1"}))
    app.state.db = office.db
    async with serve_edge(app) as url:
        yield Desk(url, tokens, office)


def serve_edge(app: Any) -> Any:
    """Only the HTTP edge, without consumer, relay and jobs."""
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def nothing(_: Any) -> AsyncIterator[None]:
        yield

    app.router.lifespan_context = nothing
    return serve(app)


async def test_staff_see_every_message_with_its_log(office: Office, desk: Desk):
    office.smtp.rcpt = ["250 ok", "550 no such user"]
    story = office.story(guests=(OLENA, TARAS))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    page = await desk.ask("GET", "/messages", params={"order_id": str(story.order_id), "template": "tickets_issued"})
    assert {item["status"] for item in page["items"]} == {"sent", "failed"}
    (failed,) = (await desk.ask("GET", "/messages", params={"status": "failed"}))["items"]
    assert failed["reason"] == "550 no such user"
    details = await desk.ask("GET", f"/messages/{failed['message_id']}")
    assert [(line["number"], line["outcome"]) for line in details["log"]] == [(1, "failed")]
    totals = await desk.ask("GET", "/messages/totals")
    assert totals["templates"]["tickets_issued"] == {"sent": 1, "failed": 1}
    assert (totals["status"]["pending"], totals["with_document"]) == (2, 1)


async def test_long_lists_come_in_pages_without_gaps_or_repetitions(office: Office, desk: Desk):
    await office.hear_organisation()
    for _ in range(5):
        story = office.story(guests=(OLENA, TARAS))
        await office.hear(story.paid(), story.cancelled(was_paid=True))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await desk.ask("GET", "/messages", params={"limit": "3", **({"cursor": cursor} if cursor else {})})
        seen += [item["message_id"] for item in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == 10
    await desk.ask("GET", "/messages", params={"cursor": "nonsense"}, status=422)


async def test_the_wrong_people_see_nothing(office: Office, desk: Desk):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    message = await office.only(template="tickets_issued")
    stranger = uuid4()
    assert (await desk.ask("GET", "/messages", organisation=stranger))["items"] == []
    for method, path in (
        ("GET", f"/messages/{message.message_id}"),
        ("POST", f"/messages/{message.message_id}/resend"),
        ("POST", f"/orders/{story.order_id}/resend"),
    ):
        await desk.ask(method, path, organisation=stranger, status=404)
        await desk.ask(method, path, roles=(Role.STOREKEEPER,), status=403)
    async with office.http.get(f"{desk.url}/messages") as answer:
        assert answer.status == 401
    async with office.db.for_organisation(stranger) as session:
        from sqlalchemy import func, select

        from services.notifications.models import Message

        assert await session.scalar(select(func.count()).select_from(Message)) == 0, "row-level security"


async def test_what_a_message_said_is_forgotten_and_that_it_was_sent_is_not(office: Office, desk: Desk):
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    await office.deliver()
    sent = await office.only(template="tickets_issued")
    rules = {rule.table: rule for rule in retention.rules(office.settings)}
    bodies, attempts = rules["message"], rules["attempt"]
    assert await forget(office.db, bodies) == 0, "it is young"
    async with office.db.as_worker() as session:
        await session.execute(text("UPDATE message SET finished_at = finished_at - interval '91 days'"))
        await session.execute(text("UPDATE attempt SET started_at = started_at - interval '401 days'"))
    before = await desk.ask("GET", "/messages/totals")
    assert [await forget(office.db, bodies), await forget(office.db, bodies)] == [1, 0]
    assert await forget(office.db, attempts) == 1
    row = await office.only(message_id=sent.message_id)
    assert (row.params, row.documents, row.recipient, row.status) == ({}, [""], OLENA.email, "sent")
    assert await desk.ask("GET", "/messages/totals") == before
    assert (await desk.ask("GET", f"/messages/{sent.message_id}"))["log"] == []
    problem = await desk.ask("POST", f"/messages/{sent.message_id}/resend", status=409)
    assert problem["type"] == "/problems/contents-forgotten"
    waiting = await office.only(template="show_reminder")
    assert waiting.params, "what is still to be sent keeps what it says"


async def test_a_failed_message_is_sent_again_on_request(office: Office, desk: Desk):
    office.smtp.rcpt = ["550 mailbox full"]
    story = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(story.paid(), story.issued())
    old = await office.only(template="tickets_issued")
    await desk.ask("POST", f"/messages/{old.message_id}/resend", status=409)
    await office.deliver()
    key = {"Idempotency-Key": "again-1"}
    accepted = await desk.ask("POST", f"/messages/{old.message_id}/resend", status=202, headers=key)
    repeated = await desk.ask("POST", f"/messages/{old.message_id}/resend", status=202, headers=key)
    assert accepted == repeated
    await office.deliver()
    (mail,) = office.smtp.mails
    assert len(list(mail.iter_attachments())) == 1
    new = await office.only(message_id=UUID(accepted["message_id"]))
    assert (new.status, new.resend_of) == ("sent", old.message_id)
    assert (await office.only(message_id=old.message_id)).status == "failed"


async def test_staff_see_what_did_not_arrive_and_lift_what_stands_in_the_way(office: Office, desk: Desk):
    await office.hear_organisation()
    for answers in (["250 ok"], ["550 5.1.1 no such user"]):
        office.smtp.rcpt = answers
        story = office.story(guests=(OLENA,))
        await office.hear(story.paid(), story.issued())
        await office.deliver()
    arrived, refused = await office.messages(template="tickets_issued")
    listed = await desk.ask("GET", "/messages?undelivered=true")
    assert [item["message_id"] for item in listed["items"]] == [str(refused.message_id)]
    async with office.db.as_worker() as session:
        await record(session, Report(arrived.message_id, frozenset({"olena@example.com"}), "5.2.2 mailbox full"))
    listed = await desk.ask("GET", "/messages?undelivered=true")
    assert {item["message_id"] for item in listed["items"]} == {str(refused.message_id), str(arrived.message_id)}
    (found,) = await desk.ask("GET", "/suppressions")
    assert (found["address"], found["reason"]) == ("olena@example.com", "550 5.1.1 no such user")
    for organisation in (uuid4(), office.organisation):
        path = "/suppressions?address=Olena@Example.com"
        await desk.ask("DELETE", path, status=204, organisation=organisation)
        left = await desk.ask("GET", "/suppressions")
        assert len(left) == (organisation != office.organisation), "of one's own organisation alone"


async def test_the_orders_data_go_to_the_buyer_again(office: Office, desk: Desk):
    story = office.story(guests=(OLENA,), locale="en")
    await office.hear_organisation()
    await office.hear(story.placed(), story.paid(), story.issued())
    await desk.ask("POST", f"/orders/{story.order_id}/resend", status=202)
    await office.deliver()
    (mail,) = office.smtp.to(story.customer.email or "")
    assert mail["Subject"] == f"Order {story.number}: Лісова пісня"
    body = mail.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert "Payment: paid" in text
    assert "/api/ticketing/documents/" in text


async def test_a_buyer_without_an_address_cannot_be_written_to(office: Office, desk: Desk):
    story = office.story(customer=Customer(name="Оля"))
    await office.hear(story.paid())
    problem = await desk.ask("POST", f"/orders/{story.order_id}/resend", status=409)
    assert problem["type"] == "/problems/nobody-to-write"
    await desk.ask("POST", f"/orders/{uuid4()}/resend", status=404)


async def test_an_organisation_chooses_when_to_remind(office: Office, desk: Desk):
    assert await desk.ask("GET", "/preferences") == {"reminder_hours": 24}
    seen = {"If-Match": desk.headers["ETag"]}
    organiser = (Role.ORGANIZER,)
    await desk.ask("PUT", "/preferences", json={"reminder_hours": 3}, roles=organiser, status=428)
    await desk.ask("PUT", "/preferences", json={"reminder_hours": 3}, headers=seen, status=403)
    await desk.ask("PUT", "/preferences", json={"reminder_hours": -1}, roles=organiser, headers=seen, status=422)
    await desk.ask("PUT", "/preferences", json={"reminder_hours": 3}, roles=organiser, headers=seen)
    await desk.ask("PUT", "/preferences", json={"reminder_hours": 9}, roles=organiser, headers=seen, status=412)
    story = office.story(guests=(OLENA,))
    await office.hear(story.issued())
    reminder = await office.only(template="show_reminder")
    assert (story.starts_at - reminder.due_at).total_seconds() == 3 * 3600


async def test_a_show_has_a_reminder_of_its_own(office: Office, desk: Desk):
    story = office.story(guests=(OLENA,))
    path, organiser = f"/shows/{story.show_id}/reminder", (Role.ORGANIZER,)
    await desk.ask("GET", path, status=404)
    await office.hear(story.moved(story.starts_at), story.issued())
    assert await desk.ask("GET", path) == {"hours": None, "effective_hours": 24}

    async def choose(hours: int | None, status: int = 200, **more: Any) -> Any:
        await desk.ask("GET", path)
        seen = {"If-Match": desk.headers["ETag"]}
        return await desk.ask("PUT", path, json={"hours": hours}, headers=seen, status=status, **more)

    async def ahead() -> float:
        return (story.starts_at - (await office.only(template="show_reminder")).due_at).total_seconds() / 3600

    await desk.ask("PUT", path, json={"hours": 3}, roles=organiser, status=428)
    await choose(3, status=403)
    await choose(-1, status=422, roles=organiser)
    stale = {"If-Match": '"v0"'}
    assert await choose(3, roles=organiser) == {"hours": 3, "effective_hours": 3}
    await desk.ask("PUT", path, json={"hours": 9}, headers=stale, roles=organiser, status=412)
    assert await ahead() == 3, "a reminder that waits moves along"
    assert (await office.only(template="show_reminder")).params["hours"] == 3
    later = story.starts_at + timedelta(days=1)
    await office.hear(story.moved(later))
    assert (later - (await office.only(template="show_reminder")).due_at).total_seconds() == 3 * 3600
    await office.hear(story.moved(story.starts_at))
    assert await choose(None, roles=organiser) == {"hours": None, "effective_hours": 24}
    assert await ahead() == 24
    assert await choose(0, roles=organiser) == {"hours": 0, "effective_hours": 0}
    assert await ahead() == 0, "when it has begun, nobody is reminded"

    other = office.story(guests=(OLENA,))
    await office.hear(other.moved(other.starts_at), other.issued())
    assert len(await office.messages(template="show_reminder")) == 2, "another show is not touched"
    again = office.story(guests=(TARAS,))
    again.show_id = story.show_id
    await office.hear(again.issued())
    silent = await office.messages(order_id=again.order_id, template="show_reminder")
    assert [message.due_at for message in silent] == [story.starts_at], "nobody is reminded of this show"
    assert await choose(2, roles=organiser) == {"hours": 2, "effective_hours": 2}
    (told,) = await office.messages(order_id=again.order_id, template="show_reminder")
    assert told.due_at == story.starts_at - timedelta(hours=2), "also who bought while nobody was"
