"""`footlights dead-letters`: records that a consumer gave up; see them, mend the cause, and replay them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from chassis import dead_letters
from chassis.dead_letters import DeadLetter
from chassis.kafka import Brokers
from contracts.topics import CONSUMER_GROUPS
from deploy.commands.surroundings import Surroundings

app = typer.Typer(no_args_is_help=True, help="Records that a consumer could not process.")
console = Console()

Group = Annotated[str, typer.Argument(help="Consumer group, such as orders")]


@app.command("list")
def list_letters(group: Annotated[str, typer.Argument(help="One group; all without it")] = "") -> None:
    """Dead letters, oldest first."""
    kafka = Surroundings.find().kafka
    table = Table("Group", "Offset", "At", "From", "Type", "Replayed", "Reason")
    for each in [_known(group)] if group else CONSUMER_GROUPS:
        for letter in asyncio.run(_read(each, kafka)):
            origin = f"{letter.topic}[{letter.partition}]@{letter.original_offset}"
            replayed = "yes" if letter.replayed else ""
            table.add_row(
                each, str(letter.offset), letter.at[:19], origin, _type(letter), replayed, letter.reason[:120]
            )
    console.print(table if table.row_count else "There are no dead letters.")


@app.command()
def show(group: Group, offset: Annotated[int, typer.Argument(help="As `list` names it")]) -> None:
    """One dead letter, whole."""
    letters = asyncio.run(_read(_known(group), Surroundings.find().kafka))
    letter = next((each for each in letters if each.offset == offset), None)
    if letter is None:
        typer.secho(f"{group} has no dead letter at offset {offset}.", fg="red", err=True)
        raise typer.Exit(1)
    console.print(f"from    {letter.topic}[{letter.partition}]@{letter.original_offset}", markup=False)
    console.print(f"at      {letter.at}\nreason  {letter.reason}", markup=False)
    console.print(f"key     {_readable(letter.key)}", markup=False)
    for name, value in letter.headers:
        console.print(f"{name}: {_readable(value)}", markup=False)
    console.print(_readable(letter.value), markup=False)


@app.command()
def replay(
    group: Group,
    offset: Annotated[list[int] | None, typer.Option(help="Only these; may be given several times")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All dead letters of the group")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were replayed before")] = False,
) -> None:
    """Put dead letters back on their topics, each once. Whoever has handled them skips them by their event id."""
    if bool(offset) == everything:
        raise typer.BadParameter("name offsets, or say --all")
    kafka = Surroundings.find().kafka
    letters = asyncio.run(_read(_known(group), kafka))
    chosen = letters if everything else [letter for letter in letters if letter.offset in (offset or [])]
    if not everything and len(chosen) != len(set(offset or [])):
        typer.secho("Some of these offsets are not there; nothing was replayed.", fg="red", err=True)
        raise typer.Exit(1)
    done = asyncio.run(dead_letters.replay(chosen, kafka, again=again))
    before = len(chosen) - done
    left_out = f" {before} were replayed before: --again replays them too." if before else ""
    console.print(f"Replayed {done} of {len(letters)} dead letters.{left_out}")


@app.command()
def resume(
    group: Group,
    allow: Annotated[int, typer.Option(min=0, help="So many more than the limit may die in the next hour")] = 100,
) -> None:
    """Let a consumer go on that stopped because of too many dead letters: after a look at what is wrong with them.

    The records that it stopped for become dead letters, and can be replayed when the cause is mended. Of a hundred or
    more of them in a batch, each batch stops it again, unless more are allowed.
    """
    url = Surroundings.find().database(_known(group))
    asyncio.run(dead_letters.resume(url, group, allow))
    console.print(f"{group} goes on within seconds. Up to {allow} more records than its limit may die in an hour.")


@app.command()
def parked(
    group: Group,
    give_up: Annotated[str, typer.Option("--give-up", help="Forget the records of this type")] = "",
) -> None:
    """Events that wait for a version of the service that knows their type, and what waits behind them.

    They go on by themselves after an upgrade. Give up only a type that no version will ever know.
    """
    url = Surroundings.find().database(_known(group))
    if give_up:
        count = asyncio.run(dead_letters.give_up_parked(url, group, give_up))
        console.print(
            f"Gave up {count} records of {give_up}. A type that is known here is not given up: it only waits."
        )
    table = Table("Type", "Records", "Since")
    for name, number, since in asyncio.run(dead_letters.parked(url, group)):
        table.add_row(name, str(number), since.isoformat(timespec="seconds"))
    console.print(table if table.row_count else "Nothing waits.")


def _known(group: str) -> str:
    if group not in CONSUMER_GROUPS:
        raise typer.BadParameter(f"the groups are {', '.join(CONSUMER_GROUPS)}")
    return group


async def _read(group: str, kafka: Brokers) -> list[DeadLetter]:
    return [letter async for letter in dead_letters.read(group, kafka)]


def _type(letter: DeadLetter) -> str:
    return next((_readable(value) for name, value in letter.headers if name == "ce_type"), "")


def _readable(raw: bytes | None) -> str:
    return "(null)" if raw is None else raw.decode(errors="backslashreplace")
