"""What happened in the story, step by step: who did what with whom, how long it took, and whether it held.

A chapter stops at the first step that does not hold; the chapters after it are still told, because whoever looks for a
mistake wants to know what else is wrong.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from connector.protocol.errors import ConnectorError, LocalError


class NotHeldError(LocalError):
    """Something that the story promises is not so."""


def hold(promise: object, otherwise: str) -> None:
    """Raise NotHeldError unless a promise of the story is true."""
    if not promise:
        raise NotHeldError(otherwise)


@dataclass(slots=True)
class Step:
    """`who` and `whom` are titles of companies, `what` completes the sentence, `notes` are what was seen."""

    who: str
    what: str
    whom: str = ""
    notes: list[str] = field(default_factory=list)
    ok: bool = True
    took_ms: float = 0.0

    def note(self, text: str) -> None:
        """Add what was seen."""
        self.notes.append(text)


@dataclass(slots=True)
class Telling:
    """The steps so far, and what is not told; `heard` is called with each step when it is over."""

    heard: Callable[[Step], None] = lambda _: None
    steps: list[Step] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, who: str, what: str, whom: str = "") -> Iterator[Step]:
        """Time a step and note how it ends. Its error goes on to the chapter."""
        step, began = Step(who, what, whom), time.perf_counter()
        try:
            yield step
        except ConnectorError as error:
            step.ok = False
            step.note(str(error))
            raise
        finally:
            step.took_ms = round((time.perf_counter() - began) * 1000, 1)
            self.steps.append(step)
            self.heard(step)

    async def chapter(self, tell: Callable[[], Awaitable[None]]) -> None:
        """Tell a chapter as far as it holds."""
        before = len(self.broken)
        try:
            await tell()
        except ConnectorError as error:
            if len(self.broken) == before:  # it came between two steps, where nobody has noted it
                self.steps.append(Step("the story", "cannot go on", notes=[str(error)], ok=False))
                self.heard(self.steps[-1])

    def leave_out(self, chapter: str, why: str) -> None:
        """Say that a chapter is not told: nothing that it promises has been checked."""
        self.left_out.append(f"{chapter} ({why})")

    @property
    def broken(self) -> list[Step]:
        """The steps that did not hold."""
        return [step for step in self.steps if not step.ok]

    @property
    def ok(self) -> bool:
        """Everything held."""
        return bool(self.steps) and not self.broken

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"ok": self.ok, "steps": [asdict(step) for step in self.steps], "left_out": self.left_out}
