"""What survives a restart: payments, answers to repeated requests, events and their deliveries, in one SQLite file.

All calls are short and synchronous, and the process has one event loop, so a request is never interleaved with another.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.sandbox.behaviour import Behaviour
from deploy.sandbox.payments import Payment

SCHEMA = """
CREATE TABLE IF NOT EXISTS payment (id TEXT PRIMARY KEY, due_at REAL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS payment_due ON payment (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS answer (
    key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS event (
    id TEXT PRIMARY KEY, payment_id TEXT NOT NULL, url TEXT, type TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS event_payment ON event (payment_id);
CREATE TABLE IF NOT EXISTS delivery (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, due_at REAL NOT NULL, state TEXT NOT NULL,
    held_back INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, outcome TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due_at) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event_id);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy of an event on its way."""

    id: int
    event_id: str
    url: str
    body: str
    attempts: int


class Store:
    """`path` None keeps everything in memory."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=5000;" + SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Inside another one it is a part of that one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def healthy(self) -> bool:
        return self._db.execute("SELECT 1").fetchone() is not None

    # payments

    def save(self, payment: Payment) -> None:
        self._db.execute(
            "INSERT INTO payment VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, body = excluded.body",
            (payment.id, payment.due_at, payment.model_dump_json()),
        )

    def payment(self, payment_id: str) -> Payment | None:
        row = self._db.execute("SELECT body FROM payment WHERE id = ?", (payment_id,)).fetchone()
        return Payment.model_validate_json(row["body"]) if row else None

    def payments_due(self, now: float) -> list[Payment]:
        rows = self._db.execute("SELECT body FROM payment WHERE due_at <= ? ORDER BY due_at LIMIT 100", (now,))
        return [Payment.model_validate_json(row["body"]) for row in rows]

    def latest(self, limit: int = 50) -> list[Payment]:
        rows = self._db.execute("SELECT body FROM payment ORDER BY rowid DESC LIMIT ?", (limit,))
        return [Payment.model_validate_json(row["body"]) for row in rows]

    # repeated requests

    def answer(self, key: str) -> tuple[str, int, str] | None:
        row = self._db.execute("SELECT request, status, body FROM answer WHERE key = ?", (key,)).fetchone()
        return (row["request"], row["status"], row["body"]) if row else None

    def remember_answer(self, key: str, request: str, status: int, body: str) -> None:
        self._db.execute("INSERT INTO answer VALUES (?, ?, ?, ?)", (key, request, status, body))

    # events and their deliveries

    def add_event(self, event_id: str, payment: Payment, kind: str, body: str, now: float) -> None:
        self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)", (event_id, payment.id, payment.webhook_url, kind, body, now)
        )

    def add_delivery(self, event_id: str, due_at: float, state: str = "waiting", held_back: bool = False) -> None:
        self._db.execute(
            "INSERT INTO delivery (event_id, due_at, state, held_back) VALUES (?, ?, ?, ?)",
            (event_id, due_at, state, held_back),
        )

    def release_held_back(self, payment_id: str, due_at: float) -> None:
        """Lets the events of a payment go that waited for the next one."""
        self._db.execute(
            "UPDATE delivery SET due_at = min(due_at, ?), held_back = 0 WHERE held_back AND state = 'waiting'"
            " AND event_id IN (SELECT id FROM event WHERE payment_id = ?)",
            (due_at, payment_id),
        )

    def take_deliveries(self, now: float, limit: int, lease_until: float) -> list[Delivery]:
        """What is due, set aside until `lease_until`: a process that dies meanwhile loses nothing."""
        rows = self._db.execute(
            "SELECT d.id, d.event_id, e.url, e.body, d.attempts FROM delivery d JOIN event e ON e.id = d.event_id"
            " WHERE d.state = 'waiting' AND d.due_at <= ? ORDER BY d.due_at, d.id LIMIT ?",
            (now, limit),
        ).fetchall()
        self._db.executemany("UPDATE delivery SET due_at = ? WHERE id = ?", [(lease_until, row["id"]) for row in rows])
        return [Delivery(**dict(row)) for row in rows]

    def mark_delivery(self, delivery_id: int, state: str, outcome: str, due_at: float) -> None:
        """`outcome` is what the attempt met: a status or the name of an error."""
        self._db.execute(
            "UPDATE delivery SET state = ?, outcome = ?, due_at = ?, attempts = attempts + 1 WHERE id = ?",
            (state, outcome, due_at, delivery_id),
        )

    def next_due(self) -> float | None:
        """When the next delivery or payment wants attention."""
        row = self._db.execute(
            "SELECT min(at) AS at FROM (SELECT min(due_at) AS at FROM delivery WHERE state = 'waiting'"
            " UNION ALL SELECT min(due_at) FROM payment WHERE due_at IS NOT NULL)"
        ).fetchone()
        return row["at"]  # type: ignore[no-any-return]

    def events_of(self, payment_id: str) -> list[dict[str, object]]:
        """Every event of a payment with the fate of its copies, oldest first."""
        rows = self._db.execute(
            "SELECT e.id, e.type, e.at, json_group_array(json_object('state', d.state, 'attempts', d.attempts,"
            " 'outcome', d.outcome, 'due_at', d.due_at)) AS deliveries FROM event e"
            " LEFT JOIN delivery d ON d.event_id = e.id WHERE e.payment_id = ? GROUP BY e.id ORDER BY e.rowid",
            (payment_id,),
        )
        return [{**dict(row), "deliveries": json.loads(row["deliveries"])} for row in rows]

    def payment_of_event(self, event_id: str) -> str | None:
        row = self._db.execute("SELECT payment_id FROM event WHERE id = ?", (event_id,)).fetchone()
        return row["payment_id"] if row else None

    # behaviour

    def behaviour(self) -> Behaviour:
        stored = self._setting("behaviour")
        return Behaviour.model_validate_json(stored) if stored else Behaviour()

    def set_behaviour(self, behaviour: Behaviour) -> None:
        self._set("behaviour", behaviour.model_dump_json())
        self._set("event_number", "0")

    def next_event_number(self) -> int:
        number = int(self._setting("event_number") or 0)
        self._set("event_number", str(number + 1))
        return number

    def _setting(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else None

    def _set(self, name: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
        )
