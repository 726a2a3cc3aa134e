"""`python -m deploy.platform.migrate orders=postgresql://... ticketing=...`: brings several databases up to date."""

from __future__ import annotations

import sys

from chassis.migrations import upgrade


def main(targets: list[str]) -> None:
    for target in targets:
        service, _, url = target.partition("=")
        try:
            upgrade(service, url)
        except Exception as error:
            raise SystemExit(f"{service}: {type(error).__name__}: {str(error).splitlines()[0]}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
