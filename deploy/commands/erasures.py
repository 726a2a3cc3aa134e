"""The list of persons who were erased, outside of all databases: a backup that is restored would bring them back.

A line says when, and who, in a form that only `ERASURE_KEY` opens.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from chassis.persons import Person


class WrongKey(Exception):
    """The list was written with another `ERASURE_KEY`."""


class Erasures:
    def __init__(self, file: Path, secret: SecretStr) -> None:
        self.file = file
        key = hmac.digest(secret.get_secret_value().encode(), b"list of erasures", "sha256")
        self._box = Fernet(base64.urlsafe_b64encode(key))

    def note(self, person: Person) -> None:
        """Adds a person; it is on the disk when this returns. Raises `OSError`."""
        words = json.dumps(person.parameters(), default=str).encode()
        line = json.dumps({"at": datetime.now(UTC).isoformat(), "who": self._box.encrypt(words).decode()})
        self.file.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(number, "a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def since(self, moment: datetime) -> list[Person]:
        """Who was erased after a moment, oldest first. Raises `WrongKey`, and `OSError` without a list."""
        lines = [json.loads(line) for line in self.file.read_text().splitlines() if line]
        return [self._read(line["who"]) for line in lines if datetime.fromisoformat(line["at"]) >= moment]

    def _read(self, written: str) -> Person:
        try:
            found = json.loads(self._box.decrypt(written.encode()))
        except InvalidToken:
            raise WrongKey(f"{self.file} was written with another ERASURE_KEY.") from None
        return Person(
            emails=frozenset(found["emails"]),
            accounts=frozenset(map(UUID, found["accounts"])),
            orders=frozenset(map(UUID, found["orders"])),
        )
