"""Settings of the gateway."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, SecretStr

from chassis.letters import LetterSettings
from chassis.settings import DevelopmentDefault

LOOPBACK = "127.0.0.0/8,::1/128"
PRIVATE = f"{LOOPBACK},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"


class Settings(LetterSettings):
    service: ClassVar[str] = "gateway"

    orders_url: str = "http://127.0.0.1:8001"
    ticketing_url: str = "http://127.0.0.1:8002"
    crm_url: str = "http://127.0.0.1:8003"
    notifications_url: str = "http://127.0.0.1:8004"
    reporting_url: str = "http://127.0.0.1:8005"

    token_signing_key: Annotated[SecretStr, DevelopmentDefault()] = SecretStr("development-only-signing-seed")
    """Ed25519 private key (PEM). In development any text: the key is derived from it."""
    token_published_keys: str = ""
    """Public keys (PEM, one after another) published besides: the next key before a rotation, the last one after."""
    token_seconds: int = 300

    session_idle_hours: int = 12
    """A session ends when it was not used for so long."""
    session_days: int = 30
    """A session ends at this age, used or not."""

    ended_key_days: int = Field(90, ge=0)
    """API keys that have ended are shown in their list so long."""

    connect_seconds: float = 2.0
    answer_seconds: float = 30.0
    """How long a service may be silent, before its answer and between two parts of it."""
    upstream_connections: int = 512
    """Connections to each service."""
    upstream_keep_alive_seconds: float = 3.0
    """Less than a service keeps an idle connection, or a request would now and then meet a closed one."""
    max_body_bytes: int = 32 * 1024 * 1024
    max_header_bytes: int = 16 * 1024
    max_headers: int = 80

    client_connections: int = Field(256, ge=0)
    client_unfinished: int = Field(64, ge=0)

    limits_redis_url: SecretStr = SecretStr("")
    """`redis://` or `rediss://`: where gateways count rates and live streams together. Without it each alone."""
    limits_redis_seconds: float = Field(0.25, gt=0)
    """A request waits so long for its answer, then this process counts alone for a second."""

    rate_per_second: float = 50.0
    """Requests that a client (address, account or API key) may go on making; 0 turns the limit off."""
    rate_burst: int = 200
    rate_exempt: str | None = None
    """Networks without a limit. Unset: this machine in development, none in production."""
    operator_networks: str = PRIVATE
    """Networks that /metrics, /readyz and /statusz answer, and only to requests that no proxy has forwarded."""
    sign_in_failures: int = 10
    """Wrong passwords for an account from one browser or network in 15 minutes. Five times as many for an account from
    unknown browsers, or for a network with any account."""
    letter_minutes: int = Field(60, ge=5, le=24 * 60)
    """How long a mailed link opens an account."""
    letters_per_address: int = Field(5, ge=1)
    """Letters that are sent to one address while the first of them can still be used; more are not sent."""
    letters_per_network: int = Field(20, ge=1)
    """Letters that one network may ask for in an hour."""

    allowed_origins: str = ""
    """Origins besides `public_url` whose pages may use a cookie session, separated by commas."""

    live_queue: int = 256
    """Changes a slow listener may fall behind before it is sent away."""
    live_history: int = 1024
    """Changes of a show kept for listeners that come back."""
    live_listeners: int = 20_000
    live_listeners_per_address: int = 20
    """Streams that one address may have open; a household or an office behind one address has a few. Networks in
    `rate_exempt` may open any number."""
    live_heartbeat_seconds: float = 15.0

    @property
    def services(self) -> dict[str, str]:
        """Base address of each service behind the gateway."""
        return {
            "orders": self.orders_url,
            "ticketing": self.ticketing_url,
            "crm": self.crm_url,
            "notifications": self.notifications_url,
            "reporting": self.reporting_url,
        }

    @property
    def secure_cookies(self) -> bool:
        return self.footlights_env == "production"

    @property
    def exempt_networks(self) -> str:
        if self.rate_exempt is not None:
            return self.rate_exempt
        return "" if self.footlights_env == "production" else LOOPBACK
