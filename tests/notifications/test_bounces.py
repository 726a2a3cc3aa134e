"""Mails that come back after a server has accepted them: staff learn of it, and nothing more goes to a dead address."""

from __future__ import annotations

import asyncio
import mailbox
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from contracts.envelope import decode
from contracts.notifications import MessageBounced
from contracts.orders import Participant
from services.notifications import resend
from services.notifications.bounces.collect import collector, record
from services.notifications.bounces.mailbox import open_mailbox
from services.notifications.bounces.report import Report, read
from services.notifications.models import Message, Status, Suppression
from tests.notifications.conftest import Office

OLENA = Participant(name="Олена Шевченко", email="olena@example.com")
UNKNOWN = "5.1.1 smtp; 550 5.1.1 no such user"


def notice(message_id: UUID, to: str = "olena@example.com", *, status: str = "5.1.1", action: str = "failed") -> bytes:
    """As Postfix writes it."""
    return f"""\
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: tickets@footlights.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

I'm sorry to have to inform you.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {to}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} no such
    user

--B
Content-Type: message/rfc822

Message-ID: <{message_id}@footlights.example>
Subject: Your tickets

Text.
--B--
""".replace("\n", "\r\n").encode()


async def sent(office: Office) -> Message:
    told = office.story(guests=(OLENA,))
    await office.hear_organisation()
    await office.hear(told.placed(), told.paid(), told.issued())
    await office.deliver()
    return await office.only(template="tickets_issued", order_id=told.order_id)


async def bounced_events(office: Office) -> list[MessageBounced]:
    async with office.db.as_worker() as session:
        rows = (await session.execute(text("SELECT value, headers FROM outbox ORDER BY id"))).all()
    events = [decode([(name, value.encode()) for name, value in row.headers], bytes(row.value)) for row in rows]
    return [event.data for event in events if isinstance(event.data, MessageBounced)]


async def addresses(office: Office) -> list[str]:
    async with office.db.as_worker() as session:
        return list(await session.scalars(select(Suppression.address)))


def test_a_report_says_which_mail_and_why() -> None:
    message_id = uuid4()
    assert read(notice(message_id)) == Report(message_id, frozenset({"olena@example.com"}), UNKNOWN)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: I am on holiday\r\n\r\nSee you.",
        notice(uuid4(), action="delayed"),
        notice(uuid4(), action="delivered"),
        notice(uuid4()).replace(b"Message-ID: <", b"Message-ID: <x"),
        notice(uuid4()).replace(b"multipart/report", b"multipart/mixed"),
        notice(uuid4()).replace(b"message/delivery-status", b"message/rfc822"),
        notice(uuid4())[:400],
    ],
)
def test_other_mails_are_none(raw: bytes) -> None:
    assert read(raw) is None


@pytest.mark.parametrize(
    ("status", "gone"),
    [("5.1.1", True), ("5.1.10", True), ("5.2.1", True), ("5.2.2", False), ("5.7.1", False), ("5.1.8", False)],
)
def test_only_some_failures_condemn_the_address(status: str, gone: bool) -> None:
    report = read(notice(uuid4(), status=status))
    assert report is not None
    assert report.no_such_address is gone


async def test_a_mail_that_comes_back_is_told_once_and_the_next_is_not_sent(office: Office, own_folder: Path):
    message = await sent(office)
    folder = own_folder / "reports"
    box = mailbox.Maildir(folder)
    for raw in (b"Subject: spam\r\n\r\nBuy!", notice(message.message_id), notice(message.message_id), notice(uuid4())):
        box.add(raw)
    collect = collector(open_mailbox(f"maildir://{folder}"))
    assert await collect(office.db) == 4
    assert await collect(office.db) == 0, "each is read once"
    after = await office.only(message_id=message.message_id)
    assert (after.status, after.reason) == (Status.SENT, f"came back: {UNKNOWN}")
    assert after.bounced_at is not None
    (event,) = await bounced_events(office)
    assert (event.message_id, event.order_id, event.reason) == (message.message_id, message.order_id, UNKNOWN)
    assert await addresses(office) == ["olena@example.com"]
    office.smtp.mails.clear()
    again = await sent(office)
    assert (again.status, office.smtp.mails) == (Status.FAILED, [])
    assert again.reason == f"the address takes no mail: {UNKNOWN}"
    async with office.db.as_worker() as session:
        await resend.message(session, office.organisation, again.message_id, office.settings)
    await office.deliver()
    assert len(office.smtp.mails) == 1, "staff may insist"


async def test_a_report_about_somebody_else_condemns_nobody(office: Office):
    message = await sent(office)
    async with office.db.as_worker() as session:
        report = Report(message.message_id, frozenset({"forwarded@example.net"}), UNKNOWN)
        assert await record(session, report)
        assert not await record(session, Report(uuid4(), frozenset({"olena@example.com"}), UNKNOWN))
    assert (await office.only(message_id=message.message_id)).bounced_at is not None
    assert await addresses(office) == []


async def test_an_address_that_is_refused_at_once_is_not_tried_again(office: Office):
    office.smtp.rcpt = ["550 5.1.1 no such user"]
    assert (await sent(office)).status == Status.FAILED
    assert (await sent(office)).reason == "the address takes no mail: 550 5.1.1 no such user"
    assert office.smtp.mails == []


async def told(office: Office) -> str:
    """What events say."""
    async with office.db.as_worker() as session:
        return b"".join(map(bytes, (await session.execute(text("SELECT value FROM outbox"))).scalars())).decode()


async def test_events_do_not_repeat_the_address_that_a_server_refuses(office: Office):
    office.smtp.rcpt = ["550 5.7.1 <olena@example.com>: Recipient address rejected: Олена@example.com"]
    assert "olena@example.com" in ((await sent(office)).reason or ""), "staff read all of it"
    assert "rejected" in await told(office)
    assert "@" not in await told(office)


async def test_events_do_not_repeat_the_address_that_a_report_names(office: Office):
    message = await sent(office)
    async with office.db.as_worker() as session:
        await record(session, Report(message.message_id, frozenset(), "5.2.2 <olena@example.com> is full"))
    assert "is full" in await told(office)
    assert "@" not in await told(office)


async def test_a_refusal_of_another_kind_is_about_this_mail_alone(office: Office):
    office.smtp.rcpt = ["554 5.7.1 blocked"]
    assert (await sent(office)).status == Status.FAILED
    assert (await sent(office)).status == Status.SENT


async def test_what_another_organisation_learned_does_not_count(office: Office):
    office.smtp.rcpt = ["550 5.1.1 no such user"]
    await sent(office)
    office.organisation = uuid4()
    assert (await sent(office)).status == Status.SENT


@asynccontextmanager
async def imap(mails: dict[str, bytes], seen: set[str]) -> AsyncIterator[int]:
    """As much of an IMAP server as a mailbox of reports needs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, command, *rest = line.split(" ")
            verb = (rest[0] if command == "UID" else command).upper()
            if verb == "CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1\r\n")
            elif verb == "LOGIN" and rest != ["anna", '"se-cret"']:
                writer.write(f"{tag} NO wrong\r\n".encode())
                continue
            elif verb == "SELECT":
                writer.write(b"* 1 EXISTS\r\n")
            elif verb == "SEARCH":
                writer.write(f"* SEARCH {' '.join(name for name in mails if name not in seen)}\r\n".encode())
            elif verb == "FETCH":
                content = mails[rest[1]]
                writer.write(f"* 1 FETCH (UID {rest[1]} BODY[]<0> {{{len(content)}}}\r\n".encode() + content + b")\r\n")
            elif verb == "STORE":
                seen.update(rest[1].split(","))
            elif verb == "LOGOUT":
                writer.write(b"* BYE\r\n")
            writer.write(f"{tag} OK done\r\n".encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_reports_are_read_by_imap(office: Office):
    message = await sent(office)
    mails, seen = {"7": notice(message.message_id), "9": b"Subject: spam\r\n\r\n", "8": b"old"}, {"8"}
    async with imap(mails, seen) as port:
        collect = collector(open_mailbox(f"imap://anna:se%2Dcret@127.0.0.1:{port}/Reports"))
        assert await collect(office.db) == 2
        assert seen == {"7", "8", "9"}
        assert await collect(office.db) == 0
    assert (await office.only(message_id=message.message_id)).bounced_at is not None


@pytest.mark.parametrize("url", ["imaps://host", "pop3://a:b@host", "maildir:", "/var/mail"])
def test_another_address_of_a_mailbox_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="BOUNCES_URL"):
        open_mailbox(url)
