"""Letters to accounts: their link is made when they are written, and is in nothing that is stored or told."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis.letters import letter_of
from contracts.accounts import LetterKind, LetterRequested
from contracts.envelope import Event
from services.notifications.models import Status
from tests.events import event
from tests.notifications.conftest import Office


def requested(*, life: timedelta = timedelta(hours=1), kind: LetterKind = LetterKind.SIGN_IN) -> Event[LetterRequested]:
    now = datetime.now(UTC)
    data = LetterRequested(
        letter_id=uuid4(), kind=kind, email="ada@example.com", name="Ada", locale="pl", expires_at=now + life
    )
    return event(data, None, time=now)


@pytest.mark.parametrize("kind", LetterKind)
async def test_a_letter_brings_a_link_and_leaves_nothing_behind(office: Office, kind: LetterKind):
    asked = requested(kind=kind)
    await office.hear(asked)
    assert await office.deliver() == 1, "it waits for no organisation"
    (mail,) = office.smtp.mails
    body = mail.get_body(("plain",))
    assert body is not None
    words = body.get_content().replace("=\n", "")
    assert "Ada" in words
    assert "60 min" in words
    (token,) = re.findall(r"/auth/link\?token=([\w.-]+)", words)
    assert letter_of(office.settings, token) == asked.data.letter_id
    signature = token.rpartition(".")[2]
    async with office.db.as_worker() as session:
        for table in ("message", "attempt", "outbox"):
            assert signature not in "".join(map(str, await session.execute(text(f"SELECT {table}::text FROM {table}"))))
        (headers,) = await session.scalars(text("SELECT headers::text FROM outbox"))
    assert "ce_organisation" not in headers, "it is no organisation's"


async def test_a_letter_whose_link_is_over_is_not_sent(office: Office):
    await office.hear(requested(life=timedelta(seconds=-1)))
    await office.deliver()
    assert office.smtp.mails == []
    message = await office.only()
    assert (message.status, message.reason) == (Status.SUPPRESSED, "too late: its link is over")


async def test_an_address_that_refused_a_letter_is_tried_again_when_its_owner_asks(office: Office):
    """Staff lift what keeps other letters back; these belong to no organisation."""
    office.smtp.rcpt = ["550 5.1.1 no such user"]
    await office.hear(requested())
    await office.deliver()
    assert office.smtp.mails == []
    await office.hear(requested())
    await office.deliver()
    assert len(office.smtp.mails) == 1
