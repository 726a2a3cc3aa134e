"""`footlights`: the operators' command line. `bin/footlights --help` from a checkout."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import asyncpg
import typer
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException

from deploy.commands import accounts, acls, dead_letters, events, persons, topics
from deploy.commands import status as status_command
from deploy.commands.surroundings import Surroundings
from deploy.platform.home import ROOT, Home, default_home
from deploy.platform.home import down as stop_platform

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run and operate Footlights.")
app.add_typer(topics.app, name="topics")
app.add_typer(acls.app, name="acls")
app.add_typer(accounts.app, name="accounts")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(persons.app, name="persons")
reporting = typer.Typer(no_args_is_help=True, help="Read models of reporting.")
app.add_typer(reporting, name="reporting")


def up(
    port: Annotated[int, typer.Option(help="The gateway's port; all others are counted from it")] = 8000,
    brokers: Annotated[int, typer.Option(help="1, or 3 with replication")] = 1,
    demo_data: Annotated[bool, typer.Option(help="Load an organisation with a show, a course and goods")] = True,
) -> None:
    """Start everything on this machine; Ctrl-C stops it."""
    command = ["-m", "deploy.platform.up", "--port", str(port), "--brokers", str(brokers)]
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, *command, *([] if demo_data else ["--no-demo-data"])])  # noqa: S606


def down() -> None:
    """Stop what `up` started, within 10 s."""
    home = Home(default_home())
    stopped = stop_platform(home)
    typer.echo("Stopped." if stopped else f"Nothing ran in {home.path}.")


if find_spec("deploy.platform.up"):  # not in an image, which starts nothing
    app.command()(up)
    app.command()(down)


@app.command()
def status() -> None:
    """What runs, whether it is ready, and what waits in outboxes and in Kafka. Exits with 1 if something is wrong."""
    if not status_command.show():
        raise typer.Exit(1)


@reporting.command()
def rebuild(
    fewer: Annotated[bool, typer.Option("--fewer", help="Also if the new read models have fewer rows")] = False,
) -> None:
    """Build the read models anew from the archive, while the service keeps running."""
    _reporting("rebuild", *(["--fewer"] if fewer else []))


@reporting.command()
def fill() -> None:
    """Put into the archive what the topics have and it lacks. A rebuild makes reports of it."""
    brokers = Surroundings.find().kafka
    _reporting("fill", **({"KAFKA_BOOTSTRAP_SERVERS": brokers} if isinstance(brokers, str) else {}))


def _reporting(module: str, *options: str, **more: str) -> None:
    found = Surroundings.find()
    env = os.environ | more
    env |= {
        "DATABASE_URL": found.database("reporting", "owner"),
        "DATABASE_API_URL": found.database("reporting", "api"),
        "DATABASE_WORKER_URL": found.database("reporting", "worker"),
    }
    command = [sys.executable, "-m", f"services.reporting.{module}", *options]
    raise typer.Exit(subprocess.run(command, env=env, cwd=ROOT, check=False).returncode)


def main() -> None:
    """What a server refuses is said in a line, without a traceback."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app()
    except KafkaException as error:
        sys.exit(f"Kafka: {error.args[0].name()}: {error.args[0].str()[:200]}")
    except KafkaError as error:
        sys.exit(f"Kafka: {error}")
    except (asyncpg.PostgresError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
