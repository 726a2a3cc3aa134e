"""Reads docker-compose.yml (dclint, from npm) and the Dockerfile (hadolint). Neither needs Docker.

Without npm the compose file is not read, and the check says so.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
TOOLS = ROOT / "build" / "checks"
PACKAGE = ("package.json", "package-lock.json", ".npmrc")


def hadolint() -> int:
    tool = Path(sys.executable).parent / "hadolint"
    return subprocess.run([str(tool), "--no-color", "deploy/docker/Dockerfile"], cwd=ROOT, check=False).returncode


def dclint() -> int:
    npm = shutil.which("npm")
    if npm is None:
        print("npm is missing: docker-compose.yml was not read by dclint")
        return 0
    tool = TOOLS / "node_modules" / ".bin" / "dclint"
    if not tool.exists() or any(not _same(name) for name in PACKAGE):
        TOOLS.mkdir(parents=True, exist_ok=True)
        for name in PACKAGE:
            shutil.copy(HERE / name, TOOLS / name)
        command = [npm, "ci", "--no-audit", "--no-fund", "--silent"]
        if (done := subprocess.run(command, cwd=TOOLS, check=False)).returncode:
            print("npm could not install dclint")
            return done.returncode
    command = [str(tool), "--max-warnings", "0", "docker-compose.yml"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _same(name: str) -> bool:
    return (TOOLS / name).exists() and filecmp.cmp(HERE / name, TOOLS / name, shallow=False)


if __name__ == "__main__":
    sys.exit(max(hadolint(), dclint()))
