"""`footlights events`: watch events as they come, publish again what was published, retry what Kafka refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from datetime import timedelta
from typing import Annotated, Any

import asyncpg
import typer
from aiokafka import TopicPartition
from rich.console import Console
from rich.table import Table

from chassis import kafka, postgres
from contracts.topics import TOPICS
from deploy.commands.surroundings import Surroundings
from deploy.platform import topics
from deploy.platform.ports import SERVICES

app = typer.Typer(no_args_is_help=True, help="Events on the topics.")
console = Console(soft_wrap=True)

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
BATCH = 500


@app.command()
def tail(
    topic: Annotated[list[str] | None, typer.Option(help="Only these topics; may be given several times")] = None,
    type: Annotated[str, typer.Option(help="Part of the event type, such as order.paid")] = "",
    key: Annotated[str, typer.Option(help="Id of the aggregate, such as an order id")] = "",
    correlation: Annotated[str, typer.Option(help="Everything that belongs to one order or request")] = "",
    organisation: Annotated[str, typer.Option(help="Id of an organisation")] = "",
    from_start: Annotated[bool, typer.Option(help="Begin with the oldest event, not with the next one")] = False,
    limit: Annotated[int, typer.Option(help="End after so many; 0 never ends")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with the data")] = False,
) -> None:
    """Show events as they come. Ctrl-C ends it."""
    known = [each.name for each in TOPICS]
    if unknown := set(topic or []) - set(known):
        raise typer.BadParameter(f"unknown topic {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = {"type": type, "subject": key, "correlationid": correlation, "organisation": organisation}
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_tail(Surroundings.find().kafka, topic or known, wanted, from_start, limit, as_json))


async def _tail(
    brokers: kafka.Brokers, names: list[str], wanted: dict[str, str], from_start: bool, limit: int, as_json: bool
) -> None:
    found = await topics.partitions(brokers)
    # Not by seeking: aiokafka's own reset, begun by `assign`, may overtake a seek.
    start = "earliest" if from_start else "latest"
    consumer = kafka.Consumer(brokers, enable_auto_commit=False, auto_offset_reset=start)
    await consumer.start()
    shown = 0
    try:
        consumer.assign([TopicPartition(name, number) for name in names for number in range(found.get(name, 0))])
        while not limit or shown < limit:
            for record in (r for records in (await consumer.getmany(timeout_ms=500)).values() for r in records):
                attributes = _attributes(record.headers)
                if _fits(attributes, wanted) and (not limit or shown < limit):
                    shown += 1
                    console.print(_line(record, attributes, as_json), markup=False, highlight=not as_json)
    finally:
        await consumer.stop()


def _attributes(headers: Any) -> dict[str, str]:
    return {
        name.removeprefix("ce_"): value.decode(errors="backslashreplace")
        for name, value in headers
        if value is not None and name.startswith("ce_")
    }


def _fits(attributes: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(
        part in attributes.get(name, "") if name == "type" else part == attributes.get(name)
        for name, part in wanted.items()
        if part
    )


def _line(record: Any, attributes: dict[str, str], as_json: bool) -> str:
    value = (record.value or b"").decode(errors="backslashreplace")
    if not as_json:
        where = f"{record.topic}[{record.partition}]@{record.offset}"
        return f"{attributes.get('time', '')[11:23]} {attributes.get('type', '?')} {attributes.get('subject')} {where}"
    with contextlib.suppress(ValueError):
        return json.dumps({**attributes, "data": json.loads(value)}, ensure_ascii=False)
    return json.dumps({**attributes, "data": value}, ensure_ascii=False)


@app.command()
def republish(
    service: Annotated[str, typer.Argument(help="The service whose events are published again")],
    since: Annotated[str, typer.Option(help="How far back, such as 30m or 2h")],
    topic: Annotated[str, typer.Option(help="Only this topic")] = "",
    key: Annotated[str, typer.Option(help="Only this aggregate")] = "",
    dry_run: Annotated[bool, typer.Option(help="Count only")] = False,
) -> None:
    """Publish events of the last hours again, with their ids and in order: after Kafka has lost some.

    Consumers that have handled them skip them. Published events are kept for some hours.
    """
    surroundings = Surroundings.find()
    url, brokers = surroundings.database(service), surroundings.kafka
    count = asyncio.run(_republish(url, brokers, _duration(since), topic, key, dry_run))
    console.print(f"{'Found' if dry_run else 'Republished'} {count} events of {service}.")


async def _republish(url: str, brokers: kafka.Brokers, since: timedelta, topic: str, key: str, dry_run: bool) -> int:
    connection = await postgres.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT topic, key, value, headers::text AS headers FROM outbox_published "
            "WHERE published_at >= now() - $1::interval AND ($2 = '' OR topic = $2) "
            "AND (length($3::bytea) = 0 OR key = $3::bytea) "
            "ORDER BY id",
            since,
            topic,
            key.encode(),
        )
    finally:
        await connection.close()
    if dry_run or not rows:
        return len(rows)
    producer = kafka.Producer(brokers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for start in range(0, len(rows), BATCH):
            sent = [
                await producer.send(
                    row["topic"],
                    key=row["key"],
                    value=row["value"],
                    headers=[(name, value.encode()) for name, value in json.loads(row["headers"])],
                )
                for row in rows[start : start + BATCH]
            ]
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(rows)


FAILED = """
    SELECT id, topic, convert_from(key, 'UTF8') AS key, octet_length(value) AS bytes, failed_at, reason,
           (SELECT header ->> 1 FROM json_array_elements(headers) AS header WHERE header ->> 0 = 'ce_type') AS type
    FROM outbox_failed ORDER BY id
"""
# Under its old id it goes before the events of its key that wait, though behind those that were published meanwhile.
RETRY = """
    WITH failed AS (DELETE FROM outbox_failed WHERE id = ANY($1::bigint[]) RETURNING *)
    INSERT INTO outbox (id, topic, key, value, headers, created_at) OVERRIDING SYSTEM VALUE
    SELECT id, topic, key, value, headers, created_at FROM failed
"""


@app.command()
def failed(service: Annotated[str, typer.Argument(help="One service; all without it")] = "") -> None:
    """Events that Kafka refused for good, so that nobody got them: with the reason, oldest first."""
    surroundings = Surroundings.find()
    table = Table("Service", "Id", "At", "Type", "Key", "Bytes", "Reason")
    for each in [_known(service)] if service else SERVICES:
        if service or surroundings.knows_database(each):
            for row in asyncio.run(_failed(surroundings.database(each))):
                at = f"{row['failed_at']:%Y-%m-%dT%H:%M:%S}"
                table.add_row(each, str(row["id"]), at, row["type"], row["key"], str(row["bytes"]), row["reason"][:120])
    console.print(table if table.row_count else "No events were refused.")


@app.command()
def retry(
    service: Annotated[str, typer.Argument(help="The service that wrote the events")],
    id: Annotated[list[int] | None, typer.Option(help="Only these, as `failed` names them; several times")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All refused events of the service")] = False,
) -> None:
    """Put refused events back into the outbox, once their cause is mended. The service publishes them at once."""
    if bool(id) == everything:
        raise typer.BadParameter("name ids, or say --all")
    url = Surroundings.find().database(_known(service))
    missing = asyncio.run(_retry(url, None if everything else set(id or [])))
    if missing:
        typer.secho(f"{service} has no refused event {', '.join(map(str, missing))}; none was put back.", err=True)
        raise typer.Exit(1)


async def _failed(url: str) -> list[asyncpg.Record]:
    connection = await postgres.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(FAILED)
        return rows
    finally:
        await connection.close()


async def _retry(url: str, wanted: set[int] | None) -> list[int]:
    """Those of the wanted that are not there; then nothing is done. None: all."""
    connection = await postgres.connect(url)
    try:
        there = {row["id"] for row in await connection.fetch(FAILED)}
        missing = sorted((wanted or set()) - there)
        if not missing:
            await connection.execute(RETRY, list(there if wanted is None else wanted))
            console.print(f"Put back {len(there if wanted is None else wanted)} of {len(there)} refused events.")
        return missing
    finally:
        await connection.close()


def _known(service: str) -> str:
    if service not in SERVICES:
        raise typer.BadParameter(f"the services are {', '.join(SERVICES)}")
    return service


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30m or 2h")
    return timedelta(**{UNITS[match.group(2)]: int(match.group(1))})
