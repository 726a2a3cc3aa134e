"""What the gateway's own routes ask of a request: who is calling, from where, and this process' parts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from chassis.db import Database
from chassis.edge import Caller, buyer
from services.gateway.errors import SessionNeeded
from services.gateway.front import IDENTITY
from services.gateway.identities import Identities, Identity

SignedInCaller = Annotated[Caller, Depends(buyer())]


def db_of(request: Request) -> Database:
    db: Database = request.app.state.db
    return db


def identities_of(request: Request) -> Identities:
    identities: Identities = request.app.state.identities
    return identities


def identity_of(request: Request) -> Identity:
    """Who the front of the gateway found to be calling; a `buyer` permission has let them through."""
    identity: Identity | None = request.scope.get(IDENTITY)
    if identity is None:
        raise SessionNeeded("Ask through the gateway.")
    return identity


def who_signed_in(request: Request) -> Identity:
    identity = identity_of(request)
    if identity.session_id is None:
        raise SessionNeeded("An API key cannot do this: sign in with the password.")
    return identity


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""
