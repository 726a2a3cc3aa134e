"""The PDF that a participant gets: one page per ticket with who, what, where, when, and a QR code (DOC-1, REG-6).

Printed with Roboto, which has Latin, Greek and Cyrillic letters. Pure: it knows nothing of the database.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import segno
from fpdf import FPDF
from fpdf.fonts import TTFFont

from chassis import money, wall_clock
from contracts.money import Money
from services.ticketing.tickets.fonts import WHOLE, faces

LANGUAGES = ("en", "uk", "pl", "ru")
WORDS = {
    "en": {
        "ticket": "Ticket", "number": "No.", "holder": "Name", "place": "Place", "zone": "Price zone", "price": "Price",
        "when": "When", "where": "Where", "order": "Order", "hint": "Show this code at the entrance. It lets in once.",
    },
    "uk": {
        "ticket": "Квиток", "number": "№", "holder": "Ім'я", "place": "Місце", "zone": "Цінова зона", "price": "Ціна",
        "when": "Коли", "where": "Де", "order": "Замовлення", "hint": "Покажіть цей код на вході. Він діє один раз.",
    },
    "pl": {
        "ticket": "Bilet", "number": "Nr", "holder": "Imię i nazwisko", "place": "Miejsce", "zone": "Strefa cenowa",
        "price": "Cena", "when": "Kiedy", "where": "Gdzie", "order": "Zamówienie",
        "hint": "Pokaż ten kod przy wejściu. Wpuszcza jeden raz.",
    },
    "ru": {
        "ticket": "Билет", "number": "№", "holder": "Имя", "place": "Место", "zone": "Ценовой пояс", "price": "Цена",
        "when": "Когда", "where": "Где", "order": "Заказ", "hint": "Покажите этот код на входе. Он действует один раз.",
    },
}  # fmt: skip

FAMILY = "Roboto"
A5 = (148, 210)
"""Millimetres."""
GREY = (110, 110, 110)
BLACK = (20, 20, 20)
ACCENT = (140, 28, 48)
MARGIN = 18
QR_SIDE = 62
"""Millimetres."""
QR_MASK = 2
LONG, LONGEST = 60, 160
"""Letters of a title that is printed smaller, and of one that would push the code off the page."""


@dataclass(frozen=True, slots=True)
class PrintedTicket:
    number: str
    code: str
    holder: str
    place: Sequence[str]
    zone: str
    price: Money


@dataclass(frozen=True, slots=True)
class PrintedDocument:
    organisation: str
    show: str
    starts_at: datetime
    time_zone: str
    hall: str
    locale: str
    tickets: Sequence[PrintedTicket]


def print_document(document: PrintedDocument) -> bytes:
    """The PDF; some 30 ms of CPU, so not on the event loop."""
    pdf = _draw(document, faces())
    if any(font.missing_glyphs for font in pdf.fonts.values() if isinstance(font, TTFFont)):
        pdf = _draw(document, WHOLE)
    return bytes(pdf.output())


def _draw(document: PrintedDocument, fonts: Mapping[str, Path]) -> FPDF:
    locale = document.locale if document.locale in LANGUAGES else "en"
    pdf = FPDF(format=A5)
    pdf.set_auto_page_break(False)
    pdf.set_title(f"{WORDS[locale]['ticket']}: {document.show}")
    pdf.set_creator("Footlights")
    pdf.set_lang(locale)
    for style, file in fonts.items():
        pdf.add_font(FAMILY, style, file)
    for ticket in document.tickets:
        _page(pdf, document, ticket, locale)
    return pdf


def _page(pdf: FPDF, document: PrintedDocument, ticket: PrintedTicket, locale: str) -> None:
    words = WORDS[locale]
    pdf.add_page()
    pdf.set_margins(MARGIN, MARGIN, MARGIN)
    pdf.set_xy(MARGIN, MARGIN)
    _write(pdf, document.organisation, 10, GREY)
    size = 20 if len(document.show) <= LONG else 13
    _write(pdf, _clip(document.show), size, ACCENT, "B", height=size * 0.45)
    pdf.ln(2)
    _field(pdf, words["when"], wall_clock.show(document.starts_at, document.time_zone, locale))
    _field(pdf, words["where"], document.hall)
    _field(pdf, words["place"], ", ".join(ticket.place))
    _field(pdf, words["holder"], ticket.holder)
    _field(pdf, words["zone"], f"{ticket.zone}, {money.show(ticket.price, locale)}")
    top = max(pdf.get_y() + 4, 110)
    _qr(pdf, ticket.code, (pdf.w - QR_SIDE) / 2, top)
    pdf.set_xy(MARGIN, top + QR_SIDE + 2)
    _write(pdf, f"{words['ticket']} {words['number']} {ticket.number}", 12, BLACK, "B", align="C")
    _write(pdf, words["hint"], 9, GREY, align="C")


def _field(pdf: FPDF, name: str, value: str) -> None:
    _write(pdf, name, 8, GREY, height=4)
    _write(pdf, _clip(value), 12, BLACK)
    pdf.ln(1)


def _write(
    pdf: FPDF, text: str, size: int, colour: tuple[int, int, int], style: str = "", height: float = 6, align: str = "L"
) -> None:
    pdf.set_font(FAMILY, style, size)
    pdf.set_text_color(*colour)
    pdf.multi_cell(0, height, text, align=align, new_x="LMARGIN", new_y="NEXT")


def _qr(pdf: FPDF, code: str, left: float, top: float) -> None:
    picture = io.BytesIO()
    # Finding the best of the eight masks takes longer than everything else of a page; scanners read any.
    segno.make_qr(code, error="m", mask=QR_MASK).save(picture, kind="png", scale=6, border=4)
    picture.seek(0)
    pdf.image(picture, x=left, y=top, w=QR_SIDE, h=QR_SIDE)


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
