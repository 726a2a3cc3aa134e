"""Roboto: whole, and cut down once per process to the letters of our languages, which costs a third of the time."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from font_roboto import font_files
from fontTools import subset  # type: ignore[import-untyped]

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

_folders: list[Path] = []


@cache
def faces() -> dict[str, Path]:
    """`WHOLE`, cut down to `LETTERS`."""
    folder = Path(tempfile.mkdtemp(prefix="footlights-fonts-"))
    _folders.append(folder)
    return {style: _cut(file, folder) for style, file in WHOLE.items()}


@atexit.register
def forget() -> None:
    """Takes the files away. A service that stops calls it: uvicorn ends by the signal that it got, without `atexit`."""
    faces.cache_clear()
    while _folders:
        shutil.rmtree(_folders.pop(), ignore_errors=True)


def _cut(source: Path, folder: Path) -> Path:
    options = subset.Options(layout_features=[], hinting=False, notdef_outline=True, name_IDs=["*"], drop_tables=[])
    font = subset.load_font(str(source), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=LETTERS)
    cutter.subset(font)
    target = folder / source.name
    subset.save_font(font, str(target), options)
    return target
