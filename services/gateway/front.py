"""The front of the gateway, in bare ASGI: every request passes here first, and the hot path never goes further.

In order: the head is read and bounded, the client is known by address, cookie or key, its rate is limited, a browser's
unsafe request is shown to come from our own page, and then either a service answers or the gateway's own routes do.
What a service learns of the client is the internal token, an address and ids for tracing; nothing else can be forged.
"""

from __future__ import annotations

import math
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import is_passing
from chassis.logging import get_logger
from chassis.networks import Networks, client_address, network_of
from chassis.problems import Problem, TooManyRequests, Unavailable
from services.gateway import metrics, targets
from services.gateway.answers import Answer, security_headers
from services.gateway.bodies import ClientGone
from services.gateway.errors import BadCredentials, NoSuchService, PasswordChangeNeeded
from services.gateway.forwarding import Forwarder, Upstream
from services.gateway.identities import Identities, Identity
from services.gateway.incoming import Incoming
from services.gateway.origins import UNSAFE, Origins, require_token
from services.gateway.rates import Rates
from services.gateway.sessions import KEY_PREFIX
from services.gateway.settings import Settings

log = get_logger(__name__)

OPERATED = frozenset({"/metrics", "/readyz", "/statusz"})
"""Our own such paths: for whoever runs the platform, from inside."""
WITHOUT_COOKIE = frozenset({"/auth/sign-in", "/auth/letters", "/auth/letters/use", "/auth/link"})
"""Start a session, whatever cookie is there: no session to protect, but the page must be ours."""
WEBHOOKS = "/api/orders/webhooks/"
"""Come from few addresses, and most of them when most people buy. Their signature protects them, not their rate."""
CHANGING = frozenset({("GET", "/auth/me"), ("POST", "/auth/password"), ("POST", "/auth/sign-out")})
"""All that a one-time password opens (ROL-13)."""
IDENTITY = "footlights.identity"
"""Where our own routes find who calls, in the ASGI scope."""
DEVICE = "footlights.device"
"""Where they find the cookie of a browser that somebody has signed in with before."""
BEARER = re.compile(r"[Bb]earer +(\S+)")


def cookie_name(settings: Settings) -> str:
    """The `__Host-` prefix makes a browser refuse the cookie from anywhere but this very host over HTTPS."""
    return "__Host-footlights" if settings.secure_cookies else "footlights_session"


def device_cookie_name(settings: Settings) -> str:
    return "__Host-footlights-device" if settings.secure_cookies else "footlights_device"


class Front:
    """ASGI middleware around the gateway's own routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        identities: Identities,
        forwarder: Forwarder,
        exempt: Networks,
        rates: Rates | None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._identities = identities
        self._forwarder = forwarder
        self._cookie = cookie_name(settings)
        self._device = device_cookie_name(settings)
        self._rates = rates
        self._exempt = exempt
        self._proxies = Networks(settings.trusted_proxies)
        self._operators = Networks(settings.operator_networks)
        self._origins = Origins(settings)
        self._security = security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send, self._security)
        try:
            incoming = Incoming(
                scope, max_header_bytes=self._settings.max_header_bytes, max_headers=self._settings.max_headers
            )
            answer.request_id = incoming.request_id
            peer: str = scope["client"][0] if scope.get("client") else ""
            address = client_address(peer, incoming.text(b"x-forwarded-for"), self._proxies)
            identity = await self._identify(incoming, address)
            answer.private = identity is not None
            if incoming.path.startswith("/api/"):
                upstream, path, query = self._route(scope)
                headers = self._for_service(incoming, identity, address)
                await self._forwarder.forward(upstream, upstream.url(path, query), incoming, headers, receive, answer)
            else:
                await self._answer_ourselves(scope, incoming, identity, address, receive, answer)
        except ClientGone:
            return
        except Problem as problem:
            if answer.started:
                raise
            if problem.status in (401, 403, 413, 429, 431):
                metrics.REFUSED.labels(problem.slug).inc()
            await answer.refuse(problem)
        except Exception as error:
            if answer.started or not is_passing(error):
                raise
            log.warning("request failed for a passing reason", path=scope["path"], error=repr(error))
            await answer.refuse(Unavailable("The gateway cannot reach its database. Try again in a moment."))

    async def _identify(self, incoming: Incoming, address: str) -> Identity | None:
        """Who calls; None for anybody. Raises 401, 403 and 429."""
        secret, from_cookie = self._secret(incoming)
        organisation = incoming.text(b"x-organisation") or ""
        identity = self._identities.known(secret, organisation) if secret else None
        if self._rates is not None and address not in self._exempt:
            # Guessing secrets is limited by address, a known caller by who they are, wherever they sit.
            client = network_of(address) if identity is None else str(identity.key_id or identity.account_id)
            wait = await self._rates.take(client)
            if wait and not incoming.path.startswith(WEBHOOKS):
                raise TooManyRequests("Too many requests; wait a moment.", retry_after=math.ceil(wait))
        unsafe = incoming.method in UNSAFE
        if unsafe and (from_cookie or secret is None) and not incoming.path.startswith(WEBHOOKS):
            self._origins.require_ours(incoming)
        if secret is None:
            return None
        if identity is None:
            identity = await self._identities.of(secret, organisation)
        if identity is None:
            if from_cookie:
                return None  # signed out elsewhere, or too long ago: what anybody may do still works
            raise BadCredentials(
                "This API key is not known, was revoked or has expired.", headers={"WWW-Authenticate": "Bearer"}
            )
        if from_cookie and unsafe:
            require_token(incoming, identity.csrf)
        if identity.limited and (incoming.method, incoming.path) not in CHANGING:
            raise PasswordChangeNeeded("Choose a password of your own first: POST /auth/password.")
        return identity

    def _secret(self, incoming: Incoming) -> tuple[str | None, bool]:
        """The API key or the session token, and whether it is a cookie's."""
        authorization = incoming.text(b"authorization")
        if authorization is not None:
            match = BEARER.fullmatch(authorization)
            if match is None or not match[1].startswith(KEY_PREFIX) or len(match[1]) > 200:
                raise BadCredentials(
                    f"Send an API key as `Authorization: Bearer {KEY_PREFIX}...`; other credentials mean nothing here.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            return match[1], False
        if incoming.path in WITHOUT_COOKIE:
            return None, False
        cookie = incoming.cookie(self._cookie)
        return (cookie, True) if cookie and len(cookie) <= 200 else (None, False)

    def _route(self, scope: Scope) -> tuple[Upstream, str, str]:
        """The service, and the path and query to ask there."""
        name, path = targets.split(scope["raw_path"])
        upstream = self._forwarder.upstreams.get(name)
        if upstream is None:
            raise NoSuchService("There is no service at this address; see /docs.")
        return upstream, path, targets.query_of(scope.get("query_string", b""))

    async def _answer_ourselves(
        self,
        scope: Scope,
        incoming: Incoming,
        identity: Identity | None,
        address: str,
        receive: Receive,
        answer: Answer,
    ) -> None:
        if incoming.path in OPERATED and (b"x-forwarded-for" in incoming.read or address not in self._operators):
            # What a proxy forwards came from outside, wherever the proxy itself sits.
            raise NoSuchService("There is nothing at this address; see /docs.")
        headers = [(name.encode(), value.encode()) for name, value in self._for_service(incoming, identity, address)]
        if host := incoming.read.get(b"host"):
            headers.append((b"host", host))
        inner = {
            **scope,
            "headers": headers,
            "client": (address, 0),
            IDENTITY: identity,
            DEVICE: incoming.cookie(self._device),
        }
        await self._app(inner, receive, answer)

    def _for_service(self, incoming: Incoming, identity: Identity | None, address: str) -> list[tuple[str, str]]:
        headers = [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in incoming.forward]
        headers.append(("x-request-id", incoming.request_id))
        headers.append(("traceparent", incoming.traceparent))
        headers.append(("x-forwarded-for", address))
        headers.append(("authorization", self._identities.bearer(identity, network_of(address))))
        if incoming.length is not None:
            headers.append(("content-length", str(incoming.length)))
        return headers
