"""`footlights acls`: who may do what on a Kafka with access control, as `contracts/topics.py` says.

A service writes its own topics and dead letters, reads the topics that name it, and is its own consumer group. A
partner reads what it was given. Whoever runs these commands is a super user of the Kafka.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from rich.console import Console

from chassis.kafka import Brokers
from contracts.topics import CONSUMER_GROUPS, TOPICS, all_topics
from deploy.commands.surroundings import Surroundings
from deploy.platform import topics

app = typer.Typer(no_args_is_help=True, help="Who may read and write which topics of Kafka.")
console = Console(soft_wrap=True)

ITERATIONS = 8192
ANY_HOST = "*"


@app.command()
def apply(
    prefix: Annotated[str, typer.Option(help="Before the name of each service's account, such as footlights-")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Take away what the contracts do not say")] = False,
) -> None:
    """Let each service do what it does, and nothing else."""
    for line in asyncio.run(let_services(Surroundings.find().kafka, prefix, prune=prune)):
        console.print(line, markup=False)


@app.command()
def partner(
    name: Annotated[str, typer.Argument(help="The partner's account, and its consumer group")],
    topic: Annotated[list[str] | None, typer.Option(help="A topic to read; may be given several times")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take away all that the account may do")] = False,
) -> None:
    """Let a partner read the topics that are named and no others, in the group of its name or NAME.anything."""
    if "." in name:
        raise typer.BadParameter("a name has no dot: behind it come the partner's own names of groups")
    if bool(topic) == remove:
        raise typer.BadParameter("name topics, or say --remove")
    known = [each.name for each in TOPICS if not each.internal]
    if unknown := set(topic or []) - set(known):
        raise typer.BadParameter(f"unknown topic {', '.join(unknown)}; there are {', '.join(known)}")
    console.print(asyncio.run(let_partner(Surroundings.find().kafka, name, topic or [])), markup=False)


@app.command()
def password(name: Annotated[str, typer.Argument(help="An account of Kafka, made if there is none")]) -> None:
    """Give an account of Kafka (SCRAM-SHA-512) a new password, and print it."""
    made = asyncio.run(new_password(Surroundings.find().kafka, name))
    console.print(f"Password of {name}: {made}", markup=False)


async def let_services(brokers: Brokers, prefix: str = "", *, prune: bool = False) -> list[str]:
    """What was done, in words, and what accounts of services may besides."""
    told = []
    async with topics.administration(brokers) as client:
        for service in CONSUMER_GROUPS:
            principal = f"User:{prefix}{service}"
            wanted, present = set(rights(service, principal)), await _present(client, principal)
            await _give(client, wanted - present)
            told.append(f"{principal}: {len(wanted)} rights, {len(wanted - present)} of them new")
            foreign = present - wanted
            if prune:
                await _take_away(client, foreign)
            told += [f"{principal} {'lost' if prune else 'may besides'}: {_words(one)}" for one in foreign]
    return told


async def let_partner(brokers: Brokers, name: str, names: list[str]) -> str:
    """What the partner may do from now on; nothing without names of topics."""
    principal = f"User:{name}"
    wanted = set(_of_partner(name, names)) if names else set()
    async with topics.administration(brokers) as client:
        present = await _present(client, principal)
        await _give(client, wanted - present)
        await _take_away(client, present - wanted)
    return f"{principal} may {', '.join(sorted(map(_words, wanted))) or 'do nothing'}"


async def new_password(brokers: Brokers, name: str) -> str:
    """Makes the account if there is none."""
    made = secrets.token_urlsafe(32)
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    change = UserScramCredentialUpsertion(name, info, made.encode())
    async with topics.administration(brokers) as client:
        await topics.done(client.alter_user_scram_credentials([change]))
    return made


def rights(service: str, principal: str) -> Iterator[AclBinding]:
    """What a service does. Whoever may read or write a topic may also ask where it is."""
    for topic in all_topics():
        if topic.producer == service:
            yield _right(ResourceType.TOPIC, topic.name, principal, AclOperation.WRITE)
        if service in topic.readers:
            yield _right(ResourceType.TOPIC, topic.name, principal, AclOperation.READ)
    yield _right(ResourceType.GROUP, service, principal, AclOperation.READ)
    # By which a relay fences the one before it.
    relays = f"{service}-relay-"
    yield _right(ResourceType.TRANSACTIONAL_ID, relays, principal, AclOperation.WRITE, ResourcePatternType.PREFIXED)


def _of_partner(name: str, names: list[str]) -> Iterator[AclBinding]:
    principal = f"User:{name}"
    for topic in names:
        yield _right(ResourceType.TOPIC, topic, principal, AclOperation.READ)
    yield _right(ResourceType.GROUP, name, principal, AclOperation.READ)
    yield _right(ResourceType.GROUP, f"{name}.", principal, AclOperation.READ, ResourcePatternType.PREFIXED)


def _right(
    kind: ResourceType,
    name: str,
    principal: str,
    operation: AclOperation,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> AclBinding:
    return AclBinding(kind, name, pattern, principal, ANY_HOST, operation, AclPermissionType.ALLOW)


async def _present(client: AdminClient, principal: str) -> set[AclBinding]:
    anything: Any = None  # which the stubs do not know
    every = AclBindingFilter(
        ResourceType.ANY,
        anything,
        ResourcePatternType.ANY,
        principal,
        anything,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return set(await asyncio.wrap_future(client.describe_acls(every)))


async def _give(client: AdminClient, bindings: set[AclBinding]) -> None:
    await topics.done(client.create_acls(list(bindings)) if bindings else {})


async def _take_away(client: AdminClient, bindings: set[AclBinding]) -> None:
    filters = [
        AclBindingFilter(
            one.restype,
            one.name,
            one.resource_pattern_type,
            one.principal,
            one.host,
            one.operation,
            one.permission_type,
        )
        for one in bindings
    ]
    await topics.done(client.delete_acls(filters) if filters else {})


def _words(one: AclBinding) -> str:
    kind, operation = ResourceType(one.restype).name.lower(), AclOperation(one.operation).name.lower()
    some = "*" if one.resource_pattern_type is ResourcePatternType.PREFIXED else ""
    return f"{operation} {kind} {one.name}{some}"
