"""Printing takes time and needs no database meanwhile, and nobody can keep others from their tickets by it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from contracts.money import Money
from services.ticketing.errors import DocumentBusy, PrintersBusy
from services.ticketing.tickets import routes
from services.ticketing.tickets.document import PrintedDocument, PrintedTicket, print_document
from services.ticketing.tickets.issue import LINK
from services.ticketing.tickets.press import AT_ONCE, Press
from services.ticketing.tickets.tables import Document
from tests.harness import eventually
from tests.ticketing.holds.crowd import make_show, open_lane
from tests.ticketing.tickets.box import PRINTER, Box

TICKET = PrintedTicket("1000001", "code", "Ada", ("Row 1",), "Stalls", Money(minor=100, currency="EUR"))
DOCUMENT = PrintedDocument("Theatre", "Hamlet", datetime(2026, 11, 27, 17, tzinfo=UTC), "UTC", "Hall", "en", (TICKET,))


class Works:
    """Prints when it is told to."""

    def __init__(self, size: int = 100) -> None:
        self.gate = threading.Event()
        self.printed: list[PrintedDocument] = []
        self.size = size

    def __call__(self, document: PrintedDocument) -> bytes:
        self.printed.append(document)
        assert self.gate.wait(30)
        return b"x" * self.size


def others(count: int) -> list[PrintedDocument]:
    return [replace(DOCUMENT, show=f"Hamlet {number}") for number in range(count)]


def press(works: Works, **limits: int) -> Press:
    return Press(**{"queue": 3, "link_requests": 2, "cache_bytes": 1000, **limits}, work=works)


async def test_what_is_asked_for_many_times_is_printed_once() -> None:
    works = Works()
    made = press(works)
    asked = [asyncio.create_task(made.print(replace(DOCUMENT))) for _ in range(20)]
    await eventually(lambda: works.printed)
    works.gate.set()
    assert set(await asyncio.gather(*asked)) == {b"x" * 100}
    await made.print(DOCUMENT)
    assert works.printed == [DOCUMENT]


async def test_another_state_is_another_document() -> None:
    works = Works()
    works.gate.set()
    made = press(works)
    moved = replace(DOCUMENT, starts_at=datetime(2027, 1, 1, tzinfo=UTC))
    renamed = replace(DOCUMENT, tickets=(replace(TICKET, holder="Eve"),))
    for each in (DOCUMENT, moved, renamed, DOCUMENT):
        await made.print(each)
    assert works.printed == [DOCUMENT, moved, renamed]


async def test_the_queue_ends_somewhere_and_goes_on() -> None:
    works = Works()
    made = press(works)
    first = [asyncio.create_task(made.print(each)) for each in others(AT_ONCE + 3)]
    await eventually(lambda: len(works.printed) == AT_ONCE)
    with pytest.raises(PrintersBusy) as refusal:
        await made.print(DOCUMENT)
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "2"})
    works.gate.set()
    await asyncio.gather(*first)
    assert await made.print(DOCUMENT)


async def test_one_link_takes_no_more_than_its_share() -> None:
    made, link, other = press(Works()), uuid4(), uuid4()
    with made.admit(link), made.admit(link):
        with pytest.raises(DocumentBusy) as refusal, made.admit(link):
            pass
        assert refusal.value.status == 429
        with made.admit(other):
            pass
    with made.admit(link):
        pass


async def test_the_kept_documents_have_a_limit_in_bytes() -> None:
    works = Works(size=400)
    works.gate.set()
    made = press(works, cache_bytes=1000)
    one, two, three = others(3)
    for each in (one, two, one, three, one, two):
        await made.print(each)
    assert works.printed == [one, two, three, two], "the one that was not read for longest went"
    huge = Works(size=1001)
    huge.gate.set()
    nothing_kept = press(huge)
    await nothing_kept.print(one)
    await nothing_kept.print(one)
    assert len(huge.printed) == 2


async def test_who_leaves_does_not_spoil_it_for_the_others() -> None:
    works = Works()
    made = press(works)
    gone = asyncio.create_task(made.print(DOCUMENT))
    await eventually(lambda: works.printed)
    stays = asyncio.create_task(made.print(DOCUMENT))
    await asyncio.sleep(0)
    gone.cancel()
    works.gate.set()
    assert await stays
    assert len(works.printed) == 1


def test_printing_goes_on_when_temporary_files_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    print_document(DOCUMENT)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    assert print_document(DOCUMENT).startswith(b"%PDF")


async def test_no_connection_is_held_while_a_document_is_printed(db) -> None:
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db), lane)
        order = await box.hold("1-1")
        await box.hear(order.paid())
    organisation = box.layout.organisation
    async with db.as_worker() as session:
        document = await session.scalar(select(Document.id).where(Document.organisation == organisation))
    held = []

    def work(printed: PrintedDocument) -> bytes:
        held.append(db.worker.pool.checkedout())
        return b"%PDF"

    token = PRINTER.links.sign(LINK, document, organisation, ttl_seconds=60)
    made = Press(queue=1, link_requests=1, cache_bytes=1000, work=work)
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(db=db, printer=PRINTER, press=made)))
    answer = await routes.read_document(token, request)
    assert (answer.body, held) == (b"%PDF", [0])
