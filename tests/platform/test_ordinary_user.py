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
    if not become[0] or subprocess.run([*become, sys.executable, "--version"], check=False).returncode != 0:
        pytest.skip("the checkout lies in a folder that only root may enter")
    home = own_folder / "home"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*become, sys.executable, "-c", SCRIPT, str(home)]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "user None"
