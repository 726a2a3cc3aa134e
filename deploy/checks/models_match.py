"""Whether the migrations of one service end at the tables of its models: migrates DATABASE_URL, then `alembic check`.

DATABASE_URL=postgresql://owner@host/fresh_database python -m deploy.checks.models_match orders
"""

from __future__ import annotations

import io
import os
import sys

from alembic import command
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from chassis import migrations


def check_one(service: str, owner_url: str) -> str:
    """What is wrong with the migrations of one service, or nothing."""
    config = migrations.config(service, owner_url)
    config.stdout = io.StringIO()
    try:
        heads = ScriptDirectory.from_config(config).get_heads()
        if len(heads) != 1:
            return f"{len(heads)} newest versions, there must be one: {', '.join(heads) or 'no migration at all'}"
        command.upgrade(config, "head")
        command.check(config)
    except CommandError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    problem = check_one(sys.argv[1], os.environ["DATABASE_URL"])
    print(problem)
    sys.exit(1 if problem else 0)
