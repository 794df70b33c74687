"""What is told about a run: its history, line by line, and what is wrong with it."""

import asyncio
import contextlib
import hashlib
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from typing_extensions import override

DISK_FULL: Final = "the disk is full"


@dataclass(slots=True)
class Story:
    """What a run leaves behind. Lines are (virtual seconds, what, about): texts once somebody wants to read them."""

    seed: int
    lines: list[tuple[float, str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    packets: int = 0
    commits: dict[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.lines).encode()).hexdigest()

    @override
    def __str__(self) -> str:
        told = [f"{at:12.4f}  {what:24} {about}" for at, what, about in self.lines]
        return "\n".join((*told, *(f"WRONG: {complaint}" for complaint in self.complaints)))


@contextlib.contextmanager
def watched(failed: Callable[[str], None]) -> Iterator[None]:
    """What nodes log as errors, and what a loop cannot tell anybody, are complaints; all other lines go nowhere."""

    def look(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in ("error", "exception"):
            error = event.get("exc_info")
            known = isinstance(error, BaseException)
            text = "".join(traceback.format_exception(error)) if known else traceback.format_exc()
            if "Unavailable" not in text and event.get("reason") != DISK_FULL:  # that is no bug
                failed(f"{event.get('event')}: {event.get('reason', text)}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[look],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
    loop = asyncio.get_running_loop()

    def tell(_: object, context: dict[str, Any]) -> None:
        failed(f"{context.get('message')}: {context.get('exception')!r}")

    loop.set_exception_handler(tell)
    try:
        yield
    finally:
        structlog.configure(**before)
