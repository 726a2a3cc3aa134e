"""`python -m chassis.migrate orders`: brings the database at DATABASE_URL to the service's newest version."""

from __future__ import annotations

import os
import sys

from chassis.migrations import upgrade

if __name__ == "__main__":
    url = os.environ.get("DATABASE_URL")
    if len(sys.argv) != 2 or not url:
        sys.exit("usage: DATABASE_URL=postgresql://owner@host/database python -m chassis.migrate SERVICE")
    upgrade(sys.argv[1], url)
