"""The matrix: one line per case, printed when the case is over, and what a failed one has to say below it.

    ok|FAIL|skip  <group>  <case>  <ms>

Both halves of `make interop` print in this form. Notes are indented: they belong to the line above them.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

LIMIT_S: Final = 40.0
"""How long a case may take unless it says otherwise."""


class Wrong(Exception):
    """A peer, or we, did something else than the case says."""


class Skipped(Exception):
    """A case that cannot be run here, and why."""


def must(what: str, found: object, *wanted: object) -> None:
    """Raise Wrong unless `found` is one of `wanted`."""
    if found not in wanted:
        expected = " or ".join(repr(w) for w in wanted)
        raise Wrong(f"{what} is {found!r}, not {expected}")


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the matrix. `run` may return a note for the reader."""

    group: str
    name: str
    run: Callable[[], Awaitable[str | None]]
    limit_s: float = LIMIT_S


@dataclass(slots=True)
class Matrix:
    """Runs cases and counts their verdicts."""

    counts: dict[str, int] = field(default_factory=lambda: {"ok": 0, "FAIL": 0, "skip": 0})

    async def run(self, case: Case) -> None:
        """Run one case within its time. A fault of any kind is this case's and no other's."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(case.limit_s):
                verdict, note = "ok", await case.run()
        except Skipped as why:
            verdict, note = "skip", str(why)
        except TimeoutError:
            verdict, note = "FAIL", f"it was not over in {case.limit_s:g} s"
        except Exception as error:  # noqa: BLE001 - one case's fault is no reason not to see the others
            verdict, note = "FAIL", f"{type(error).__name__}: {error}"
        self.add(verdict, case.group, case.name, (time.monotonic() - began) * 1000, note)

    def add(self, verdict: str, group: str, name: str, ms: float, note: str | None = None) -> None:
        """Print a line and count it."""
        self.counts[verdict] += 1
        say(f"{verdict:<4}  {group:<12}  {name:<58}  {ms:7.0f}")
        for line in (note or "").splitlines():
            say(f"      {line}")


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
