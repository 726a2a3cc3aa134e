"""What the pages for strangers point at exists: files, headings, make targets, the script of the README."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "services").glob("*/README.md")),
]


def anchors(page: Path) -> set[str]:
    """The headings of a page as a forge names them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES[:2]:
        named = re.findall(r"(?:`|^ {4})make ([a-z]+)", page.read_text(), re.MULTILINE)
        assert set(named) <= targets, page


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    pages = sorted(path for path in folder.glob("0*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.name in index


def test_every_service_has_one_screen() -> None:
    for folder in sorted(path.parent for path in (ROOT / "services").glob("*/main.py")):
        assert len((folder / "README.md").read_text().splitlines()) <= 70


def test_the_script_of_the_readme_is_python() -> None:
    script = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```")[0]

    compile(script, "buy.py", "exec")


def test_modules_that_pages_tell_to_run_exist() -> None:
    for page in PAGES:
        for module in set(re.findall(r"python -m ((?:deploy|chassis|services|tests)[\w.]*)", page.read_text())):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page}: {module}"


def test_pages_are_tracked() -> None:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        assert {str(page.relative_to(ROOT)) for page in PAGES} <= set(listed.stdout.splitlines())
