"""Pytest plugin: records which requirements passing tests have shown, in build/requirements.json.

A run of everything starts the record anew; a run of some tests updates what it ran.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

RECORD = Path(__file__).resolve().parents[2] / "build" / "requirements.json"

SHOWS = "shows"

Record = dict[str, dict[str, Any]]
"""Test id → {"ids": requirement ids, "passed": whether every phase passed}."""


def read(path: Path = RECORD) -> Record:
    try:
        record: Record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record


def passed_ids(record: Record) -> set[str]:
    """Ids with a passing test and no failing one."""
    good = {id_ for test in record.values() if test["passed"] for id_ in test["ids"]}
    bad = {id_ for test in record.values() if not test["passed"] for id_ in test["ids"]}
    return good - bad


class Recorder:
    """Gathers the outcome of every marked test of a run."""

    def __init__(self, path: Path, *, everything: bool) -> None:
        self._path, self._everything = path, everything
        self._ids: dict[str, list[str]] = {}
        self._outcomes: dict[str, set[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            ids = {str(id_) for mark in item.iter_markers("shows") for id_ in mark.args}
            # Properties travel with the report, also from a worker of xdist.
            item.user_properties += [(SHOWS, id_) for id_ in sorted(ids)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        ids = [str(value) for name, value in report.user_properties if name == SHOWS]
        if ids:
            self._ids[report.nodeid] = ids
            self._outcomes.setdefault(report.nodeid, set()).add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly or hasattr(session.config, "workerinput"):
            return
        record = {} if self._everything else read(self._path)
        for test, outcomes in self._outcomes.items():
            record[test] = {"ids": self._ids[test], "passed": outcomes == {"passed"}}
        if record or self._everything:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(dict(sorted(record.items())), indent=1) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    selected = (
        config.option.keyword or config.option.markexpr not in ("", "shows") or getattr(config.option, "lf", False)
    )
    everything = not selected and [Path(one).resolve() for one in config.args] == [config.rootpath / "tests"]
    config.pluginmanager.register(Recorder(RECORD, everything=everything), "requirements-record")
