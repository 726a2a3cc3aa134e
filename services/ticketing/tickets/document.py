"""The PDF that a participant gets: one page per ticket with who, what, where, when, and a QR code (DOC-1, REG-6).

Every text has a place of a fixed size, in which it is printed smaller, on more lines or cut off, so that the code is on
the page whatever people typed. Pure: it knows nothing of the database.
"""

from __future__ import annotations

import io
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import segno
from fpdf import FPDF

from chassis import money, wall_clock
from chassis.logging import get_logger
from contracts.money import Money
from services.ticketing.tickets.fonts import JOINERS, Fonts, fonts_for

log = get_logger(__name__)

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
QR_TOP = 122
"""Millimetres: above it is what people typed, below it what we print."""
LONGEST = 300
"""Letters of a text that are looked at; no more of them fit in a place."""
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for a letter that no font has."""


@dataclass(frozen=True, slots=True)
class Size:
    """How a text may be set: letters of so many points, on lines of so many millimetres, at most so many of them."""

    points: float
    line: float
    lines: int


TITLE = (Size(20, 9, 2), Size(14, 6, 3), Size(11, 4.5, 4), Size(8, 3.6, 5))
VALUE = (Size(12, 6, 1), Size(10, 5, 2), Size(8, 3.3, 3))
SMALL = (Size(10, 6, 1), Size(7, 3, 2))
"""From what looks best to what holds most; each needs no more room than the first lines say."""


@dataclass(frozen=True, slots=True)
class PrintedTicket:
    number: str
    code: str
    holder: str
    place: tuple[str, ...]
    zone: str
    price: Money


@dataclass(frozen=True, slots=True)
class PrintedDocument:
    """All that is printed: two that are equal give the same pages."""

    organisation: str
    show: str
    starts_at: datetime
    time_zone: str
    hall: str
    locale: str
    tickets: tuple[PrintedTicket, ...]


def print_document(document: PrintedDocument) -> bytes:
    """The PDF. Some 30 ms of CPU, seconds with letters of other scripts, so not on the event loop."""
    fonts = fonts_for("".join(_texts(document)))
    if fonts.missing:
        log.warning("letters that no font has are printed as question marks", letters=sorted(map(hex, fonts.missing)))
    with tempfile.TemporaryDirectory(prefix="footlights-fonts-") as folder:
        return bytes(_draw(document, fonts, Path(folder)).output())


def _texts(document: PrintedDocument) -> Iterator[str]:
    """What people typed."""
    yield from map(printable, (document.organisation, document.show, document.hall))
    for ticket in document.tickets:
        yield from map(printable, (ticket.holder, ticket.zone, *ticket.place))


def printable(text: str) -> str:
    """One line without control characters and signs that turn the direction of what follows, cut to `LONGEST`."""
    spaced = (" " if letter.isspace() or letter == "\N{BRAILLE PATTERN BLANK}" else letter for letter in text)
    kept = (
        letter
        for letter in spaced
        if ord(letter) in JOINERS or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    line = " ".join("".join(kept).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _draw(document: PrintedDocument, fonts: Fonts, folder: Path) -> FPDF:
    locale = document.locale if document.locale in LANGUAGES else "en"
    pdf = FPDF(format=A5)
    pdf.set_auto_page_break(False)
    pdf.set_title(f"{WORDS[locale]['ticket']}: {printable(document.show)}")
    pdf.set_creator("Footlights")
    pdf.set_lang(locale)
    faces = [(FAMILY, style, face) for style, face in fonts.faces.items()]
    others = [(f"other{number}", "", face) for number, face in enumerate(fonts.others)]
    for family, style, content in (*faces, *others):
        file = folder / f"{family}{style}.ttf"
        file.write_bytes(content)
        pdf.add_font(family, style, file)
    if others:
        pdf.set_fallback_fonts([family for family, _, _ in others], exact_match=False)
        pdf.set_text_shaping(True)
    page = _Page(pdf, WORDS[locale], locale, dict.fromkeys(fonts.missing, UNKNOWN))
    for ticket in document.tickets:
        page.draw(document, ticket)
    return pdf


@dataclass(frozen=True, slots=True)
class _Page:
    pdf: FPDF
    words: dict[str, str]
    locale: str
    unknown: dict[int, str]

    def draw(self, document: PrintedDocument, ticket: PrintedTicket) -> None:
        pdf, words = self.pdf, self.words
        pdf.add_page()
        pdf.set_margins(MARGIN, MARGIN, MARGIN)
        pdf.set_xy(MARGIN, MARGIN)
        self._fit(document.organisation, SMALL, GREY)
        self._fit(document.show, TITLE, ACCENT, "B")
        pdf.ln(2)
        self._field("when", wall_clock.show(document.starts_at, document.time_zone, self.locale))
        self._field("where", document.hall)
        self._field("place", ", ".join(ticket.place))
        self._field("holder", ticket.holder)
        self._field("zone", f"{ticket.zone}, {money.show(ticket.price, self.locale)}")
        _qr(pdf, ticket.code, (pdf.w - QR_SIDE) / 2, QR_TOP)
        pdf.set_xy(MARGIN, QR_TOP + QR_SIDE + 2)
        number = f"{words['ticket']} {words['number']} {ticket.number}"
        self._write(number, Size(12, 6, 1), BLACK, "B", align="C")
        self._write(words["hint"], Size(9, 6, 1), GREY, align="C")

    def _field(self, name: str, value: str) -> None:
        self._write(self.words[name], Size(8, 4, 1), GREY)
        self._fit(value, VALUE, BLACK)
        self.pdf.ln(1)

    def _fit(self, text: str, sizes: tuple[Size, ...], colour: tuple[int, int, int], style: str = "") -> None:
        """Writes `text` in the first size that holds it, or as much of it as the last one holds."""
        text = printable(text).translate(self.unknown)
        for size in sizes:
            if self._holds(text, size, style):
                break
        else:
            text = self._cut(text, size, style)
        self._write(text, size, colour, style)

    def _cut(self, text: str, size: Size, style: str) -> str:
        """The longest beginning that `size` holds, with an ellipsis."""
        fits, too_long = 0, len(text)
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            if self._holds(text[:middle] + "…", size, style):
                fits = middle
            else:
                too_long = middle
        return text[:fits].rstrip() + "…"

    def _holds(self, text: str, size: Size, style: str) -> bool:
        self.pdf.set_font(FAMILY, style, size.points)
        lines = self.pdf.multi_cell(0, size.line, text, dry_run=True, output="LINES")
        return isinstance(lines, list) and len(lines) <= size.lines

    def _write(self, text: str, size: Size, colour: tuple[int, int, int], style: str = "", align: str = "L") -> None:
        self.pdf.set_font(FAMILY, style, size.points)
        self.pdf.set_text_color(*colour)
        self.pdf.multi_cell(0, size.line, text, align=align, new_x="LMARGIN", new_y="NEXT")


def _qr(pdf: FPDF, code: str, left: float, top: float) -> None:
    picture = io.BytesIO()
    # Finding the best of the eight masks takes longer than everything else of a page; scanners read any.
    segno.make_qr(code, error="m", mask=QR_MASK).save(picture, kind="png", scale=6, border=4)
    picture.seek(0)
    pdf.image(picture, x=left, y=top, w=QR_SIDE, h=QR_SIDE)
