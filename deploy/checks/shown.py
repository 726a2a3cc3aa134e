"""Pytest plugin: records which requirements passing tests have shown, in build/requirements.json.

Only a complete run is recorded: one of all tests, or of all that carry the mark, that came to its end. A run of some
tests leaves the record alone, so the figures are always those of one state of the project.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

RECORD = Path(__file__).resolve().parents[2] / "build" / "requirements.json"

SHOWS = "shows"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one marked test."""

    ids: list[str]
    passed: bool
    """Whether every phase did."""


@dataclass(frozen=True, slots=True)
class Record:
    """The last complete run."""

    ended_at: str
    """RFC 3339, UTC."""
    tests: dict[str, Outcome] = field(default_factory=dict)

    @property
    def ran(self) -> set[str]:
        """Ids that some test of the run was to show."""
        return {id_ for test in self.tests.values() for id_ in test.ids}

    @property
    def passed(self) -> set[str]:
        """Ids with a passing test and no other."""
        return self.ran - {id_ for test in self.tests.values() if not test.passed for id_ in test.ids}


def read(path: Path | None = None) -> Record | None:
    """The last complete run; None if there was none."""
    try:
        stored = json.loads((path or RECORD).read_text())
        return Record(stored["ended_at"], {test: Outcome(**outcome) for test, outcome in stored["tests"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


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

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldfail
        if not (self._everything and ended) or hasattr(session.config, "workerinput"):
            return
        record = Record(
            datetime.now(UTC).isoformat(timespec="seconds"),
            {test: Outcome(self._ids[test], self._outcomes[test] == {"passed"}) for test in sorted(self._outcomes)},
        )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(asdict(record), indent=1) + "\n")


SELECTIONS = ("keyword", "lf", "stepwise", "deselect", "ignore", "ignore_glob", "collectonly")
"""Options that leave tests out."""


def pytest_configure(config: pytest.Config) -> None:
    selected = config.option.markexpr not in ("", SHOWS) or any(
        getattr(config.option, name, None) for name in SELECTIONS
    )
    everything = not selected and [Path(one).resolve() for one in config.args] == [config.rootpath / "tests"]
    config.pluginmanager.register(Recorder(RECORD, everything=everything), "requirements-record")
