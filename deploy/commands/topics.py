"""`footlights topics`: the topics of the contracts and those of the broker."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from contracts.topics import all_topics
from deploy.commands.surroundings import Surroundings
from deploy.platform import topics

app = typer.Typer(no_args_is_help=True, help="Kafka's topics, as contracts/topics.py wants them.")
console = Console()


@app.command()
def apply(
    grow: Annotated[bool, typer.Option("--grow", help="Add partitions, which breaks the order of keys")] = False,
    replication: Annotated[int, typer.Option(help="Replicas of new topics; 0: one on each of up to 3 brokers")] = 0,
) -> None:
    """Create missing topics and correct settings."""
    try:
        applied = asyncio.run(topics.apply(Surroundings.find().kafka, grow=grow, replication=replication))
    except (topics.TooFewPartitions, topics.TooFewBrokers) as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(1) from None
    for what, names in (("created", applied.created), ("grown", applied.grown), ("corrected", applied.corrected)):
        for name in names:
            console.print(f"{what} {name}")
    if not (applied.created or applied.grown or applied.corrected):
        console.print("All topics are as they should be.")
    _warn()


@app.command("list")
def list_topics() -> None:
    """Every topic with its producer, partitions and retention, and what the broker has."""
    table = Table("Topic", "Producer", "Partitions", "Retention", "Broker")
    found = asyncio.run(topics.partitions(Surroundings.find().kafka))
    for topic in all_topics():
        keep = "for ever" if topic.retention is None else f"{topic.retention.days} days"
        has = f"{found[topic.name]} partitions" if topic.name in found else "[red]missing[/]"
        table.add_row(topic.name, topic.producer, str(topic.partitions), keep, has)
    console.print(table)
    _warn()


def _warn() -> None:
    for doubt in asyncio.run(topics.doubts(Surroundings.find().kafka)):
        typer.secho(doubt, fg="yellow", err=True)
