"""Logs: one event per line, JSON by default, with the ids that follow an exchange bound to every line of a request."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

_SECRET: Final = ("authorization", "token", "secret", "password", "key", "assertion", "signature")
_HIDDEN: Final = "(hidden)"


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the value of every member whose name sounds like a secret; the last line of defence, not the first."""
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRET):
            event[name] = _HIDDEN
    return event


def configure(level: str = "info", form: str = "json") -> None:
    """Set up structlog and the standard library's loggers. `form` is json, or console for people."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    # a stranger's broken request is no error of ours, and not worth a traceback
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if form == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
