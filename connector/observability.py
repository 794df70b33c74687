"""Logs: one event per line, JSON by default, with the ids that follow an exchange bound to every line of a request.

What libraries log comes out in the same form. Two filters see to it that no line holds a secret: members whose names
sound like one are hidden at any depth, and so is everything that looks like a signed token, wherever it stands. They
are the last line of defence, not the first.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Final

import structlog

_SECRET: Final = re.compile("authorization|token|secret|password|key|assertion|signature", re.IGNORECASE)
_TOKEN: Final = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}")
"""The beginning of a JSON object in base64url: a JSON Web Token, whole or cut."""
_HIDDEN: Final = "(hidden)"


def hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what sounds or looks like a secret in a log event (a processor of structlog)."""
    for name, value in event.items():
        event[name] = _shown(name if name != "event" else "", value)
    return event


@lru_cache(maxsize=1024)
def _sounds_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - anything may be logged
    if _sounds_secret(name):
        return _HIDDEN
    match value:
        case str():
            return _TOKEN.sub(_HIDDEN, value) if "eyJ" in value else value
        case dict():
            return {key: _shown(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [_shown("", item) for item in value]
        case _:
            return value


def configure(level: str = "info", form: str = "json") -> None:
    """Set up structlog and the standard library's loggers. `form` is json, or console for people."""
    number = logging.getLevelNamesMapping()[level.upper()]
    # a stranger's broken request is no error of ours, and not worth a traceback
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if form == "console"
        else structlog.processors.JSONRenderer(default=str)
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[libraries])
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
