"""Structured logs: one JSON object a line in production, readable lines on a terminal.

Never log message bodies, card data or whole requests; ids are enough to find the rest. What opens something, in the
address of a link for instance, and mail addresses are taken out of every line, also of those that libraries write.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

from chassis import context
from chassis.settings import ServiceSettings

get_logger = structlog.stdlib.get_logger

SECRETS = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"  # signed links, tokens, quotes
    r"|\bflk_\w+|\$argon2\w+\$[^\s\"']+|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
    r"|(?i:(?<=footlights=)|(?<=footlights_session=))[^\s;\"']+"
    # Whatever else is long, mixed and stands where an address has its secret.
    r"|(?<=[/=])(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{22,}"
)
ADDRESSES = re.compile(r"(?<![\w/.:+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[^\W\d]{2,}")
"""Mail addresses, but not the user and host of a server's address."""
VALUES = re.compile(
    r"(DETAIL|invalid UUID|invalid input (?:for query argument \$\d+|syntax for type [\w ]+))"
    r'[: ](?:\\.|[^"\\\n])*'
)
"""Where an error of the database quotes the values that it did not like: they are people's. To the end of the text as
JSON writes it."""


NOISY = {"aiokafka": "ERROR", "fontTools": "ERROR", "fpdf": "ERROR", "httpx": "WARNING", "uvicorn.access": "WARNING"}
"""The least that is worth a line, of libraries that say too much."""


def configure(settings: ServiceSettings) -> None:
    """Sends our logs and those of the libraries through one formatter, to standard output."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name_service(settings.service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Local variables stay out of tracebacks: they hold personal data.
    without_locals = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    renderer: list[structlog.typing.Processor] = (
        [without_locals, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer, _hide_secrets],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy, level in NOISY.items():
        logging.getLogger(noisy).setLevel(level)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def _add_request_id(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    request_id = context.request_id.get()
    if request_id is not None:
        line.setdefault("request_id", request_id)
    return line


def _hide_secrets(_: Any, __: str, line: Any) -> Any:
    if not isinstance(line, str):
        return line
    return VALUES.sub(r"\1: withheld", ADDRESSES.sub("[address]", SECRETS.sub("[secret]", line)))


def _name_service(service: str) -> structlog.typing.Processor:
    def add(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line["service"] = service
        return line

    return add
