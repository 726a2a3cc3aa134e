"""Printing takes time and needs no database meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from services.ticketing.main import create
from services.ticketing.settings import Settings
from services.ticketing.tickets import fonts, routes
from services.ticketing.tickets.issue import LINK
from services.ticketing.tickets.tables import Document
from tests.harness import serve
from tests.ticketing.holds.crowd import make_show, open_lane
from tests.ticketing.tickets.box import PRINTER, Box


async def test_a_service_that_stops_leaves_no_fonts_behind(settings: Settings) -> None:
    async with serve(create(settings)):
        files = list(fonts.faces().values())
        assert all(file.is_file() for file in files)
    assert not any(file.parent.exists() for file in files)
    assert all(file.is_file() for file in fonts.faces().values()), "another service of the process goes on printing"


async def test_no_connection_is_held_while_a_document_is_printed(db, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_lane(db) as lane:
        box = Box(db, await make_show(db), lane)
        order = await box.hold("1-1")
        await box.hear(order.paid())
    organisation = box.layout.organisation
    async with db.as_worker() as session:
        document = await session.scalar(select(Document.id).where(Document.organisation == organisation))
    held = []

    def print_document(printed: Any) -> bytes:
        held.append(db.worker.pool.checkedout())
        return b"%PDF"

    monkeypatch.setattr(routes, "print_document", print_document)
    token = PRINTER.links.sign(LINK, document, organisation, ttl_seconds=60)
    request: Any = SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(db=db, printer=PRINTER)))
    answer = await routes.read_document(token, request)
    assert (answer.body, held) == (b"%PDF", [0])
