"""Exactly one message per transition and recipient, whatever order, duplicates and replicas do."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from contracts.orders import Participant, PaymentMethod
from services.notifications.delivery import parcel
from services.notifications.letters import Letter
from services.notifications.models import Status
from tests.harness import eventually
from tests.notifications import story
from tests.notifications.conftest import Office

GUESTS = (
    Participant(name="Олена Шевченко", email="olena@example.com"),
    Participant(name="Тарас Мельник", email="taras@example.com"),
    Participant(name="Олена", email="Olena@Example.com "),
)

deliveries = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=7, max_size=20).flatmap(
    lambda extra: st.permutations([(n, False) for n in range(7)] + extra)
)
"""Each of the seven events at least once, in any order; again as the same record, or as one with a new id."""


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(order=deliveries)
async def test_any_order_and_any_duplicates_make_the_same_messages(office: Office, order: list[tuple[int, bool]]):
    office.organisation = uuid4()
    told = office.story(guests=GUESTS, method=PaymentMethod.INVOICE)
    events = [
        story.organisation(office.organisation),
        told.interested(),
        told.placed(),
        told.paid(),
        told.issued(),
        told.cancelled(was_paid=True),
        told.refunded(),
    ]
    for number, fresh in order:
        one = events[number]
        await office.hear(replace(one, id=uuid4()) if fresh else one)
    made = Counter(
        (message.template, message.recipient) for message in await office.messages(organisation=office.organisation)
    )
    buyer = told.customer.email
    assert made == {
        ("tickets_issued", "olena@example.com"): 1,
        ("tickets_issued", "taras@example.com"): 1,
        ("show_reminder", "olena@example.com"): 1,
        ("show_reminder", "taras@example.com"): 1,
        ("order_cancelled", "olena@example.com"): 1,
        ("order_cancelled", "taras@example.com"): 1,
        ("order_refunded", buyer): 1,
        ("order_placed", buyer): 1,
        ("invoice_ordered", None): 1,
    }


async def test_three_replicas_send_each_message_once(office: Office):
    await office.hear_organisation()
    for _ in range(40):
        told = office.story(guests=GUESTS[:2])
        await office.hear(told.paid(), told.issued())
    couriers = [office.courier(delivery_batch=3) for _ in range(3)]
    await asyncio.gather(*(office.deliver(courier) for courier in couriers))
    assert len(office.smtp.mails) == 80
    assert set(office.smtp.message_ids.values()) == {1}
    sent = await office.messages(template="tickets_issued", status=Status.SENT)
    assert len(sent) == 80
    assert {message.attempts for message in sent} == {1}


async def test_two_consumers_that_handle_the_same_event_write_it_down_once(office: Office):
    told = office.story(guests=GUESTS[:2])
    await office.hear_organisation()
    issued = told.issued()
    await asyncio.gather(*(office.hear(replace(issued, id=uuid4())) for _ in range(8)))
    assert len(await office.messages(template="tickets_issued")) == 2


async def test_a_database_that_goes_away_after_the_mail_was_taken_leads_to_no_second_one(office: Office):
    await office.hear_organisation()
    told = office.story(guests=GUESTS[:1])
    await office.hear(told.paid(), told.issued())
    office.smtp.delay_seconds = 0.5
    work = asyncio.create_task(office.deliver())
    await eventually(lambda: office.smtp.connections)
    async with office.db.as_worker() as session:
        # Nobody gets in and everybody is thrown out, while the mail server is still thinking.
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        await session.execute(text(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}"))
    assert await work == 1
    assert await office.deliver() == 0
    assert len(office.smtp.mails) == 1
    assert (await office.only(template="tickets_issued")).status == Status.SENT


def stall(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The process gets no time while it writes a letter, as on a machine that is too busy."""
    write = parcel.letter

    def slowly(*values: Any) -> Letter:
        time.sleep(seconds)
        return write(*values)

    monkeypatch.setattr(parcel, "letter", slowly)


async def test_a_claim_that_ran_out_before_its_turn_is_renewed(office: Office, monkeypatch: pytest.MonkeyPatch):
    await office.hear_organisation()
    told = office.story(guests=GUESTS[:1])
    await office.hear(told.paid(), told.issued())
    stall(monkeypatch, 0.5)
    assert await office.courier(lease_seconds=0.2).run(office.db) == 1
    assert len(office.smtp.mails) == 1
    assert (await office.only(template="tickets_issued")).attempts == 1


async def test_a_claim_that_another_sender_took_over_is_not(office: Office, monkeypatch: pytest.MonkeyPatch):
    await office.hear_organisation()
    told = office.story(guests=GUESTS[:1])
    await office.hear(told.paid(), told.issued())
    (document,) = told.issued().data.documents
    gate = office.documents.gates[urlsplit(document.url).path] = asyncio.Event()
    work = asyncio.create_task(office.courier(lease_seconds=0.2).run(office.db))
    await eventually(lambda: office.documents.asked)
    async with office.db.as_worker() as session:
        taken = "UPDATE message SET attempt_id = gen_random_uuid(), due_at = now() + interval '1 hour'"
        await session.execute(text(f"{taken} WHERE template = 'tickets_issued'"))
    time.sleep(0.5)  # noqa: ASYNC251 - the loop stands still, and the lease ends
    gate.set()
    await work
    assert office.smtp.mails == []
