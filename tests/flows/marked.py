"""People and secrets that can be told from everything else in a log, requests full of them, and a database that fails
over them."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from chassis import logging as ours
from tests.flows.stage import Stage

TOKEN_NAMES = re.compile(r"token|key|code|quote|secret|cursor")
GIVEN = {
    "minor": 100,
    "return_url": None,
    "roles": ["support"],
    "seats": ["1-7"],
    "currency": "UAH",
    "locale": "uk",
    "provider": "sandbox",
    "time_zone": "Europe/Kyiv",
}
READS = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)


@dataclass
class Marks:
    """Words and numbers that stand nowhere else, and what each of them was."""

    made: dict[str, str] = field(default_factory=dict)

    def word(self, what: str) -> str:
        """Lower-case letters, as a person's name is: nothing in its form gives it away to a filter."""
        return self._keep("".join(random.choices("bcdfghjkmnpqrstvwxz", k=14)), what)

    def secret(self, what: str) -> str:
        """The form of all that we make as a secret: long, and mixed."""
        made = "".join(random.choices(string.ascii_letters + string.digits, k=28))
        return self._keep(f"Aa1{made}", what)

    def phone(self, what: str) -> str:
        """The number is valid, and its last digits are the mark."""
        return "+38067" + self._keep(f"{random.randrange(1_000_000, 9_999_999)}", what)

    def _keep(self, mark: str, what: str) -> str:
        self.made[mark] = what
        return mark

    def inside(self, text: str) -> dict[str, str]:
        """What of all this a text tells, with the line that does."""
        told: dict[str, str] = {}
        for line in text.splitlines():
            lower = line.lower()
            told |= {what: line[:1500] for mark, what in self.made.items() if mark.lower() in lower}
        return told


def filled(document: dict[str, Any], schema: dict[str, Any], marks: Marks, name: str) -> Any:
    """A value that the schema allows as a rule, with a mark wherever a word may stand."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return filled(document, schema[choice][0], marks, name)
    if name.rpartition(".")[2] in GIVEN:
        return GIVEN[name.rpartition(".")[2]]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            parts = schema.get("properties", {})
            return {part: filled(document, inner, marks, f"{name}.{part}") for part, inner in parts.items()}
        case "array":
            wanted = schema.get("minItems", 0)
            return [filled(document, schema.get("items", {}), marks, name) for _ in range(wanted)]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return _word(schema, marks, name)


def _word(schema: dict[str, Any], marks: Marks, name: str) -> str:
    last = name.rpartition(".")[2].rpartition(" ")[2]
    match schema.get("format"):
        case "uuid":
            return str(uuid4())
        case "date-time":
            return "2097-01-01T00:00:00Z"
        case "date":
            return "1990-01-01"
    if "email" in last or last == "address":
        return f"{marks.word(name)}@marks.example"
    if "phone" in last:
        return marks.phone(name)
    return marks.secret(name) if TOKEN_NAMES.search(last) else marks.word(name)


@contextlib.contextmanager
def logged(platform: Stage) -> Iterator[io.StringIO]:
    """All that the platform logs meanwhile, as talkative as it can be."""
    settings = platform.apps["gateway"].state.settings.model_copy(update={"log_level": "DEBUG"})
    root = logging.getLogger()
    before, level = root.handlers, root.level
    ours.configure(settings)
    stream = io.StringIO()
    root.handlers[0].setStream(stream)  # type: ignore[attr-defined]
    logging.getLogger("mail.log").setLevel("WARNING")  # of the mail server, which is the outside world here
    try:
        yield stream
    finally:
        root.handlers = before
        root.setLevel(level)


@contextlib.contextmanager
def failing(marks: Marks, *, reads: bool) -> Iterator[list[str]]:
    """Every statement that carries a mark fails, of those that read or of those that write: the values are bound to a
    column that does not exist, or quoted by the server's own words in turn. Gives the statements that failed."""
    failed: list[str] = []

    def fail(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> tuple[str, Any]:
        told = repr(parameters)
        if bool(READS.match(statement)) is not reads or not marks.inside(told):
            return statement, parameters
        failed.append(statement)
        if len(failed) % 2:
            return "SELECT nothing WHERE CAST($1 AS text) = ''", (told,)
        quoted = told.replace("'", "''").replace("$", "S")
        words = f"DETAIL = E'Failing row contains ({quoted}).'".replace("\\", "")
        return f"DO $$ BEGIN RAISE undefined_column USING MESSAGE = 'no such column', {words}; END $$", ()

    event.listen(Engine, "before_cursor_execute", fail, retval=True)
    try:
        yield failed
    finally:
        event.remove(Engine, "before_cursor_execute", fail)


def without_protection(monkeypatch: pytest.MonkeyPatch, engines: list[Engine], protection: str) -> None:
    """Takes one of the two away that keep marks out of logs."""
    if protection == "hide_parameters":
        for engine in engines:
            monkeypatch.setattr(engine, "hide_parameters", False)
    else:
        monkeypatch.setattr(ours, "_hide_secrets", lambda _, __, line: line)
