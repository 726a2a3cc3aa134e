"""What the gateway's own routes ask of a request: who is calling, from where, and this process' parts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from chassis import networks
from chassis.db import Database
from chassis.edge import Caller, buyer
from chassis.logging import get_logger
from services.gateway import metrics
from services.gateway.attempts import Attempts
from services.gateway.errors import SessionNeeded
from services.gateway.front import DEVICE, IDENTITY
from services.gateway.identities import Identities, Identity
from services.gateway.settings import Settings

log = get_logger(__name__)

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


def attempts_of(request: Request) -> Attempts:
    attempts: Attempts = request.app.state.attempts
    return attempts


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def device_of(request: Request) -> str | None:
    """What the browser has kept of a sign-in before; who it belongs to is to be checked."""
    device: str | None = request.scope.get(DEVICE)
    return device


def network_of(request: Request) -> str:
    """Who counts as one client: an address, or the /64 of one."""
    return networks.network_of(address_of(request))


def tell_sign_in(request: Request, account: UUID | None, *, by: str, outcome: str) -> None:
    """One line and one count for each attempt. Who tried which address without an account is not written down."""
    metrics.SIGN_INS.labels(outcome).inc()
    account_id = str(account) if account else None
    log.info("sign-in", outcome=outcome, by=by, account_id=account_id, network=network_of(request))


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""
