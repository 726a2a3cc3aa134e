"""What runs in the process of one mutant. It knows nothing of the project before it stands in the copy of the tree."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

OURS = ("tests", "chassis", "contracts", "services", "deploy")

LIBRARIES = (
    "aiohttp",
    "aiokafka",
    "alembic",
    "asyncpg",
    "babel",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "fastapi",
    "faststream.kafka",
    "fpdf",
    "hypothesis.stateful",
    "jwt",
    "opentelemetry.sdk.trace",
    "phonenumbers",
    "pydantic_settings",
    "pytest",
    "pytest_asyncio",
    "sqlalchemy.ext.asyncio",
    "stripe",
    "structlog",
    "uvicorn",
    "xlsxwriter",
)
"""Loaded once, by the process that the others are forked from."""


def run(tree: str, log: str, tests: list[str]) -> None:
    """Runs the tests in the tree until the first fails; its exit code is that of pytest."""
    os.setpgid(0, 0)
    with Path(log).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(tree)
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    sys.path[:] = [tree, *(path for path in sys.path if path and not (Path(path) / "pyproject.toml").exists())]
    code = pytest.main(
        [
            "-x",
            "-q",
            "--no-header",
            "--tb=short",
            "-p",
            "no:randomly",
            "-m",
            "not slow",
            "-o",
            "cache_dir=.pytest",
            *tests,
        ]
    )
    sys.stdout.flush()
    os._exit(int(code))
