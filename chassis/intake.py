"""What is looked at before anything is opened, parsed or waited for on behalf of a request.

In order: the caller may do this at all; the body is of a kind and size that the route takes; all of it is here; and it
is no bomb. So a stranger's megabytes are never read, a slow upload holds no transaction, and a small body cannot become
a large object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from chassis.problems import BodyTooLarge, Invalid, JsonNeeded, Problem, Refused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
ORDINARY_VALUES = 10_000
"""Values in an ordinary JSON body: even `[{},{},...]` takes a parser less than a millisecond then."""
DEPTH = 32
"""Lists and objects within each other."""
JSON = re.compile(rb"application/(?:json|[\w.+-]+\+json)\s*(?:;|$)", re.IGNORECASE)
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

F = TypeVar("F", bound=Callable[..., Any])


class Permits(Protocol):
    async def check(self, scope: Scope) -> object: ...


@dataclass(frozen=True, slots=True)
class Takes:
    """What a route takes besides the ordinary. `most` is in bytes, or the name of the setting that says it."""

    most: int | str
    values: int | None = ORDINARY_VALUES
    """None: the route bounds them itself, where it does not stop the event loop."""
    json: bool = True


@dataclass(frozen=True, slots=True)
class Door:
    """What one route asks of a request. `most` is in bytes."""

    permission: Permits | None
    most: int
    values: int | None = ORDINARY_VALUES
    json: bool = True

    async def whole(self, scope: Scope, receive: Receive) -> Message:
        """The message with all of the body, or that the client is gone. Raises what is wrong with it."""
        headers = dict(scope["headers"])
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > self.most:
            raise self._too_large()
        message = await receive()
        parts = bytearray(message.get("body", b""))
        while message.get("more_body"):
            message = await receive()
            parts += message.get("body", b"")
            if len(parts) > self.most:
                raise self._too_large()
        if message["type"] != "http.request":
            return message
        body = bytes(parts)
        if len(body) > self.most:
            raise self._too_large()
        if body and self.json:
            if not JSON.match(headers.get(b"content-type", b"")):
                raise JsonNeeded("Send JSON, and say so: `Content-Type: application/json`.")
            if self.values is not None:
                refuse_bombs(body, self.values)
        return {"type": "http.request", "body": body, "more_body": False}

    def _too_large(self) -> Problem:
        return BodyTooLarge(f"A body may have {self.most} bytes here.", limit=self.most)


class Intake:
    """An ASGI `receive` that gives the body in one piece, once the caller and the body have passed the route's door."""

    __slots__ = ("_given", "_receive", "_scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        self._given = False

    async def __call__(self) -> Message:
        door = None if self._given else door_of(self._scope)
        if door is None:
            return await self._receive()
        self._given = True
        try:
            if door.permission is not None:
                await door.permission.check(self._scope)
            return await door.whole(self._scope, self._receive)
        except Problem as problem:
            raise Refused(problem) from None


def takes(most: int | str, *, values: int | None = ORDINARY_VALUES, json: bool = True) -> Callable[[F], F]:
    """Marks a route that takes other bodies than the ordinary: JSON of `max_json_bytes`."""

    def mark(function: F) -> F:
        function.takes = Takes(most, values, json)  # type: ignore[attr-defined]
        return function

    return mark


def door_for(endpoint: object, permission: Permits | None, settings: Any) -> Door:
    """The door of a route by the marks of its function or hot endpoint."""
    mark = getattr(endpoint, "takes", None) or Takes("max_json_bytes")
    most = mark.most if isinstance(mark.most, int) else getattr(settings, mark.most)
    return Door(permission, most, mark.values, mark.json)


def door_of(scope: Scope) -> Door | None:
    doors: dict[int, Door] = getattr(scope["app"].state, "doors", {}) if "app" in scope else {}
    return doors.get(id(scope.get("route")))


async def admit(request: Request) -> None:
    """Before a transaction is opened: the caller may do this, and the whole body is here. Raises what is wrong."""
    door = door_of(request.scope)
    if door is not None and door.permission is not None:
        await door.permission.check(request.scope)
    if request.method not in SAFE:
        await request.body()


def refuse_bombs(body: bytes, values: int) -> None:
    """Raises `Invalid` for JSON of too many values, or nested too deep. Faster by far than parsing it."""
    opened = body.count(b"[") + body.count(b"{")
    if opened + body.count(b",") > values:
        raise Invalid(f"The body may have about {values} values.")
    if opened <= DEPTH:
        return
    depth = 0
    for bracket in STRING.sub(b"", body).translate(None, NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH:
            raise Invalid(f"Lists and objects may be nested {DEPTH} deep.")
