"""The fonts of a document: Roboto, and for letters that it lacks those of Noto that have them.

What a document does not need is cut away before it is printed: Roboto once, to the letters of our languages, the others
to the very letters that are asked for. Cut fonts are kept in memory; they are files only while a document is printed,
so nobody can sweep them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import manimgx_fonts
import pylopdf_fonts_zh_cn
from font_roboto import font_files
from fontTools import subset  # type: ignore[import-untyped]
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from fontTools.varLib.instancer import instantiateVariableFont  # type: ignore[import-untyped]

WHOLE = {"": Path(font_files["Roboto"]), "B": Path(font_files["RobotoBold"])}
"""Files of the fonts by fpdf's style letter."""
LETTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),  # Latin with the marks of Polish, Czech, German, French, ...
    *range(0x400, 0x530),  # Cyrillic
    0x2BC,  # the apostrophe of Ukrainian, as in the name of Friday
    *range(0x2010, 0x2040),  # dashes, quotation marks, ellipsis
    *range(0x20A0, 0x20C0),  # currencies
    0x2116,  # №
    0x2122,
]
_NOTO = Path(manimgx_fonts.__file__).parent
SCRIPTS = (
    *(
        _NOTO / f"NotoSans{script}[wght].ttf"
        for script in (
            "Georgian", "Hebrew", "Arabic", "Armenian", "Devanagari", "Bengali", "Gujarati", "Gurmukhi", "Tamil",
            "Telugu", "Kannada", "Malayalam", "Oriya", "Sinhala", "Thai", "Lao", "Khmer", "Myanmar", "Ethiopic",
        )
    ),
    _NOTO / "NotoEmoji[wght].ttf",
    Path(pylopdf_fonts_zh_cn.__file__).parent / "NotoSansSC-Regular.otf",  # Chinese and Japanese
    _NOTO / "NotoSans[wght].ttf",
    _NOTO / "NotoSansSymbols[wght].ttf",
)  # fmt: skip
"""Fonts for what Roboto lacks. A letter is taken from the first that has it."""
REGULAR = {"wght": 400}
JOINERS = {0x200C, 0x200D, 0xFE0E, 0xFE0F}
"""They shape the letters around them and are not seen themselves; no font needs to have them."""


@dataclass(frozen=True, slots=True)
class Fonts:
    """What one document is printed with, each as the content of a font file."""

    faces: Mapping[str, bytes]
    """By fpdf's style letter."""
    others: tuple[bytes, ...] = ()
    """For letters that `faces` lack."""
    missing: frozenset[int] = frozenset()
    """Letters that no font has."""


def fonts_for(text: str) -> Fonts:
    """Fonts with every letter of `text` that any font has."""
    letters = {ord(letter) for letter in text} - JOINERS
    if not (rare := letters - set(LETTERS)):
        return Fonts(_usual())
    rare -= _letters_of(WHOLE[""])
    if not rare:
        return Fonts(_whole())
    others = []
    for file in SCRIPTS:
        if found := rare & _letters_of(file):
            others.append(_cut(file, found | JOINERS))
            rare -= found
    return Fonts(_whole(), tuple(others), frozenset(rare))


@cache
def _usual() -> dict[str, bytes]:
    """`WHOLE`, cut down to `LETTERS`, which costs a third of the time."""
    return {style: _cut(file, LETTERS, features=()) for style, file in WHOLE.items()}


@cache
def _whole() -> dict[str, bytes]:
    return {style: file.read_bytes() for style, file in WHOLE.items()}


@cache
def _letters_of(file: Path) -> frozenset[int]:
    with TTFont(file, lazy=True) as font:
        return frozenset(font.getBestCmap())


def _cut(file: Path, letters: Iterable[int], features: tuple[str, ...] = ("*",)) -> bytes:
    options = subset.Options(
        layout_features=list(features), hinting=False, notdef_outline=True, name_IDs=["*"], drop_tables=[]
    )
    font = subset.load_font(str(file), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=letters)
    cutter.subset(font)
    if "fvar" in font:
        font = instantiateVariableFont(font, REGULAR)
    content = io.BytesIO()
    font.save(content)
    return content.getvalue()
