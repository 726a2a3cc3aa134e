"""What must not be in a tracked file: secrets, private hosts, paths of somebody's machine.

    python -m deploy.checks.tidiness

Not a scanner of everything: it finds what slips in by habit, such as an index address in a lock file.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

RULES: dict[str, re.Pattern[str]] = {
    "a path of somebody's machine": re.compile(r"(?<![\w.~$}/-])/(?:home/[a-z]\w*|root|Users/\w+|work)/[\w.]"),
    "a package index of one's own": re.compile(
        r"(?:--(?:extra-)?index-url|--find-links|--trusted-host|\bindex-url\s*=|^\s*registry\s*=)[ =]*\S*://"
        r"|https?://[^/\s\"']*(?:artifactory|nexus|jfrog|codeartifact|verdaccio|pypiserver)",
        re.IGNORECASE,
    ),
    "a private host": re.compile(
        r"https?://(?:[\w.-]+@)?(?:10\.\d|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|[\w.-]+\.(?:internal|corp|lan|intranet)\b)"
    ),
    "a secret": re.compile(
        r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[\w-]{10,}|(?:sk|rk)_live_\w{10,}|npm_[A-Za-z0-9]{36})\b"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
ALLOWED_KEYS = re.compile(r"DevelopmentDefault|development[- ]only", re.IGNORECASE)
"""A settings module may hold a key for development if it marks it: production refuses to start with it."""


def findings(name: str, text: str) -> Iterator[str]:
    """What is wrong with one file, as `file:line: what`; the text itself is not repeated."""
    marked = ALLOWED_KEYS.search(text) is not None
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in RULES.items():
            if pattern.search(line) and not (what == "a private key" and marked):
                yield f"{name}:{number}: {what}"


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    return [name for name in listed.stdout.split("\0") if name]


def main() -> int:
    own = {"deploy/checks/tidiness.py", "tests/deploy/checks/test_tidiness.py"}
    names = [name for name in tracked() if name not in own]
    wrong: list[str] = []
    for name in names:
        try:
            text = (ROOT / name).read_text()
        except (UnicodeDecodeError, OSError):
            continue
        wrong.extend(findings(name, text))
    print("\n".join(wrong) or f"tidiness: {len(names)} files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
