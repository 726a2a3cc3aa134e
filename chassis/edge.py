"""The edge of a service: who calls, what they may do, and the one transaction of a request.

Every route depends on exactly one permission: `staff(...)`, `buyer()` or `public()`; `app.create_app` refuses a route
without. Services trust only the gateway's short-lived token; headers a client could send itself mean nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.types import Scope

from chassis import context
from chassis.intake import admit
from chassis.keys import KeySet
from chassis.problems import Forbidden, Problem, Unauthorised
from contracts.accounts import Role

AUDIENCE = "footlights"
ISSUER = "footlights-gateway"

PermissionKind = Literal["staff", "buyer", "public"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent the request, and from where. Staff act in one organisation with their roles there; anonymous callers
    have no account."""

    account_id: UUID | None = None
    organisation: UUID | None = None
    roles: frozenset[Role] = frozenset()
    email: str | None = None
    """The address of the account, if its person has proved that they read it. Nobody else's mail counts for them."""
    name: str | None = None
    network: str | None = None
    """Where the request came from: an IPv4 address or an IPv6 /64, as the gateway saw it."""

    @property
    def is_verified(self) -> bool:
        """Signed in to an account with a proven address; any other costs nothing to make, so it counts for nobody."""
        return self.account_id is not None and self.email is not None

    @property
    def is_staff(self) -> bool:
        return self.organisation is not None and bool(self.roles)

    def has(self, *roles: Role) -> bool:
        return self.is_staff and not self.roles.isdisjoint(roles)

    def serves(self, organisation: UUID) -> bool:
        """Works in this organisation: what the caller orders there is for somebody else, never for the own account."""
        return self.is_staff and self.organisation == organisation

    @property
    def staff_organisation(self) -> UUID:
        """The organisation of a caller that a `staff` permission let through."""
        if self.organisation is None:
            raise Forbidden("This needs a member of staff.")
        return self.organisation

    @property
    def actor(self) -> str:
        """How histories name the caller."""
        return self.email or (str(self.account_id) if self.account_id else "buyer")


ANONYMOUS = Caller()
CALLER = "footlights.caller"
"""Where the caller is kept in the scope of a request."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A dependency that lets a caller through or raises 401 or 403. `roles` is empty unless `kind` is staff."""

    kind: PermissionKind
    roles: frozenset[Role] = frozenset()

    @property
    def problems(self) -> tuple[type[Problem], ...]:
        return (Unauthorised, Forbidden) if self.kind == "staff" else (Unauthorised,)

    async def __call__(self, request: Request) -> Caller:
        order_id = request.path_params.get("order_id")
        if order_id is not None:
            context.bind(order_id=order_id)
        return await self.check(request.scope)

    async def check(self, scope: Scope) -> Caller:
        """The caller, if this permission lets them through. Raises 401 or 403."""
        caller = await caller_of(scope)
        if self.kind == "public":
            return caller
        if caller.account_id is None:
            raise Unauthorised("Sign in, or send a token.", headers={"WWW-Authenticate": "Bearer"})
        if self.kind == "staff" and not caller.has(*self.roles):
            needed = ", ".join(sorted(self.roles))
            raise Forbidden(f"This needs one of the roles {needed} in the organisation.")
        return caller


def staff(*roles: Role) -> Permission:
    """Members of staff with any of `roles`; with no role named, any member of staff."""
    return Permission("staff", frozenset(roles or Role))


def buyer() -> Permission:
    """Anybody who is signed in; the route checks that the thing is theirs."""
    return Permission("buyer")


def public() -> Permission:
    """Anybody. A signed link, a quote or a webhook signature is checked by the route."""
    return Permission("public")


async def caller_of(scope: Scope) -> Caller:
    """The caller by the bearer token, anonymous without one. Raises `Unauthorised` for a bad one."""
    caller: Caller | None = scope.get(CALLER)
    if caller is None:
        header = next((value for name, value in scope["headers"] if name == b"authorization"), None)
        caller = ANONYMOUS if header is None else await _authenticate(scope["app"], header.decode("latin-1"))
        scope[CALLER] = caller
    return caller


async def _authenticate(app: FastAPI, header: str) -> Caller:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorised("Send the token as `Authorization: Bearer <token>`.")
    keys: KeySet = app.state.auth_keys
    claims = await keys.verify(token.strip(), audience=AUDIENCE, issuer=ISSUER)
    known = {role.value for role in Role}
    if "sub" not in claims and "net" not in claims:
        raise Unauthorised("The token does not say who you are.")
    try:
        caller = Caller(
            account_id=UUID(claims["sub"]) if "sub" in claims else None,
            organisation=UUID(claims["org"]) if claims.get("org") else None,
            roles=frozenset(Role(role) for role in claims.get("roles", ()) if role in known),
            email=claims.get("email"),
            name=claims.get("name"),
            network=claims.get("net"),
        )
    except ValueError:
        raise Unauthorised("The token does not say who you are.") from None
    if caller.account_id is not None:
        context.bind(account_id=caller.account_id)
    return caller


async def transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The transaction of a request under row-level security: the caller's organisation and account."""
    await admit(request)
    caller = await caller_of(request.scope)
    async with request.app.state.db.for_organisation(caller.organisation, caller.account_id) as session:
        yield session


async def worker_transaction(request: Request) -> AsyncIterator[AsyncSession]:
    """The transaction of a public request whose statements name the organisation, or the one object, themselves."""
    await admit(request)
    async with request.app.state.db.as_worker() as session:
        yield session


# Committed before the answer is sent, so nobody is told of something that did not happen.
Tx = Annotated[AsyncSession, Depends(transaction, scope="function")]
WorkerTx = Annotated[AsyncSession, Depends(worker_transaction, scope="function")]


def permissions(app: FastAPI) -> Iterator[tuple[RouteContext, Permission | None]]:
    """Every route of an app with its permission. Raises `TypeError` if a route has several."""
    for route in iter_route_contexts(app.routes):
        found = set(_declared(route))
        if len(found) > 1:
            raise TypeError(f"{route.path} has {len(found)} permissions, it must have one")
        yield route, next(iter(found), None)


def _declared(route: RouteContext) -> Iterator[Permission]:
    if not isinstance(route.original_route, APIRoute):
        permission = getattr(route.original_route, "permission", None)
        if permission is not None:
            yield permission
        return
    stack: list[Dependant] = [route.dependant]
    while stack:
        dependant = stack.pop()
        if isinstance(dependant.call, Permission):
            yield dependant.call
        stack.extend(dependant.dependencies)
