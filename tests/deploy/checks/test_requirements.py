"""The list of requirements and the marks of the tests keep each other honest."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.checks import requirements, shown
from deploy.checks.requirements import Item, disagreements, marks_in, read_list, report, updated
from deploy.checks.shown import Outcome, Record

LIST = """\
## Orders

| Id | What | Lives in | Shown |
|---|---|---|---|
| ORD-1 | A list. | `services/orders` | yes |
| ORD-2 | Another. | later (orders) |  |

## Tickets

| Id | What | Lives in | Shown |
|---|---|---|---|
| TKT-1 | Browser. | `services` |  |
"""


def test_the_list_of_the_project_has_302_items() -> None:
    items = read_list(requirements.LIST.read_text())

    assert len(items) == 302
    assert all(item.what.endswith(".") and item.area for item in items)


def test_rows_are_read() -> None:
    assert read_list(LIST)[0] == Item("ORD-1", "Orders", "A list.", "services/orders", shown=True)
    assert [item.later for item in read_list(LIST)] == [False, True, False]


@pytest.mark.parametrize("line", ["| ORD-3 | x | y | perhaps |", "| ORD-3 | x | y |", "| ORD-1 | again | later |  |"])
def test_a_row_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"ORD-1|not \| id"):
        read_list(LIST + line + "\n")


def test_marks_are_found_wherever_they_stand() -> None:
    source = "pytestmark = pytest.mark.shows('A-1')\n@pytest.mark.shows('B-2', 'B-3')\ndef test_x(): pass\n"

    assert list(marks_in(source, "t.py")) == [("A-1", "t.py:1"), ("B-2", "t.py:2"), ("B-3", "t.py:2")]


@pytest.mark.parametrize(
    ("marked", "words"),
    [
        ({"ORD-1": "t.py:1", "ORD-9": "t.py:2"}, "ORD-9 is not in"),
        ({}, "ORD-1 is listed as shown"),
        ({"ORD-1": "t.py:1", "TKT-1": "t.py:2"}, "does not say"),
        ({"ORD-1": "t.py:1", "ORD-2": "t.py:2"}, "later"),
    ],
)
def test_a_disagreement_is_named(marked: dict[str, str], words: str) -> None:
    assert any(words in line for line in disagreements(read_list(LIST), marked))


def test_a_place_that_does_not_exist_is_named() -> None:
    text = LIST.replace("`services/orders`", "`services/nowhere`")

    assert any("nowhere" in line for line in disagreements(read_list(text), {"ORD-1": "t.py:1"}))


def test_update_writes_the_column_and_nothing_else() -> None:
    text = updated(LIST, {"TKT-1": "t.py:1"})

    assert text == LIST.replace("orders` | yes |", "orders` |  |").replace("`services` |  |", "`services` | yes |")
    assert not list(disagreements(read_list(text), {"TKT-1": "t.py:1"}))


def run(**passed: bool) -> Record:
    """A complete run in which the tests of these ids passed or not; `ORD_1` is ORD-1."""
    tests = {name: Outcome([name.replace("_", "-")], good) for name, good in passed.items()}
    return Record("2026-11-22T20:04:00+00:00", tests)


def test_the_report_counts_by_area_and_ends_with_the_sum() -> None:
    lines = list(report(read_list(LIST), run(ORD_1=True, TKT_1=True), {"ORD-1", "TKT-1"}))

    assert lines == [
        "Orders     1 of   2  ORD-1",
        "Tickets    1 of   1  TKT-1",
        "\nOf the complete run of tests that ended at 2026-11-22T20:04:00+00:00.",
        "2 of 3 shown",
    ]


def test_the_report_names_what_the_run_does_not_answer_for() -> None:
    lines = list(report(read_list(LIST), run(ORD_1=False, ORD_2=True), {"ORD-1", "TKT-1"}))

    assert lines[-3:] == [
        "Marked, but a test failed or was skipped: ORD-1",
        "Marked since, so not counted until all tests run again: TKT-1",
        "0 of 3 shown",  # ORD-2 passed then, and no test is marked with it now
    ]


def test_only_what_passed_and_never_failed_is_shown() -> None:
    record = Record("", {"a": Outcome(["ORD-1", "ORD-2"], True), "b": Outcome(["ORD-2"], False)})

    assert (record.ran, record.passed) == ({"ORD-1", "ORD-2"}, {"ORD-1"})


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Two files with marked tests."""
    pytester.makeini(
        "[pytest]\nmarkers = shows(*ids): x\ntestpaths = tests\nasyncio_default_fixture_loop_scope = session\n"
    )
    tests = pytester.mkdir("tests")
    (tests / "test_one.py").write_text(
        "import pytest\n"
        "@pytest.mark.shows('ORD-1')\ndef test_good(): pass\n"
        "@pytest.mark.shows('ORD-2')\ndef test_bad(): assert False\n"
        "@pytest.mark.shows('ORD-3')\ndef test_not_run(): pytest.skip()\n"
        "def test_plain(): pass\n"
    )
    (tests / "test_two.py").write_text("import pytest\n@pytest.mark.shows('ORD-4')\ndef test_more(): pass\n")
    monkeypatch.setattr(shown, "RECORD", pytester.path / "build" / "requirements.json")
    return pytester


@pytest.mark.parametrize("arguments", [(), ("-m", "shows")])
def test_a_complete_run_is_recorded_anew(project: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    record = _recorded(project, *arguments)
    assert record is not None
    assert (record.ran, record.passed) == ({"ORD-1", "ORD-2", "ORD-3", "ORD-4"}, {"ORD-1", "ORD-4"})

    (project.path / "tests" / "test_one.py").unlink()
    record = _recorded(project, *arguments)
    assert record is not None
    assert record.ran == {"ORD-4"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("tests/test_two.py",),
        ("-k", "good or more"),
        ("-m", "not shows"),
        ("--deselect", "tests/test_one.py::test_bad"),
        ("--ignore", "tests/test_one.py"),
        ("--collect-only",),
        ("-x",),
    ],
)
def test_a_run_of_some_tests_is_not_recorded(project: pytest.Pytester, arguments: tuple[str, ...]) -> None:
    assert _recorded(project, *arguments) is None


@pytest.mark.parametrize("left", ["", "[]", '{"tests/test_one.py::test_good": {"ids": ["ORD-1"], "passed": true}}'])
def test_a_record_of_another_form_is_none(left: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(left)

    assert shown.read(tmp_path / "record.json") is None


def _recorded(project: pytest.Pytester, *arguments: str) -> Record | None:
    project.inline_run("-p", "no:randomly", *arguments, plugins=[shown])
    return shown.read()
