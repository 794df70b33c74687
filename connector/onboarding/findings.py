"""What was found when a node was looked at, and how to mend it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from connector.protocol.errors import ConnectorError


class Verdict(StrEnum):
    """GOOD; WARNING: it works, but not for long or not everywhere; BAD; SKIPPED: it could not be looked at."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was seen; `mend` is the next step, empty where there is nothing to do."""

    check: str
    verdict: Verdict
    what: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {"check": self.check, "verdict": self.verdict.value, "what": self.what, "mend": self.mend}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `look` returns what was seen if it is good, and raises Ill if not."""

    name: str
    look: Callable[[], Awaitable[str]]


class Ill(ConnectorError):
    """A check has failed; `mend` says how to put it right. Not `fatal`: it is a warning."""

    def __init__(self, reason: str, mend: str, *, fatal: bool = True) -> None:
        super().__init__(reason)
        self.mend = mend
        self.fatal = fatal


class Skipped(ConnectorError):
    """There is nothing to look at, or it cannot be looked at before something else is mended."""


async def examine(check: Check, otherwise: str) -> Finding:
    """Do a check. `otherwise`: how to mend what the check has no words for."""
    try:
        return Finding(check.name, Verdict.GOOD, await check.look())
    except Ill as ill:
        return Finding(check.name, Verdict.BAD if ill.fatal else Verdict.WARNING, ill.reason, ill.mend)
    except Skipped as skipped:
        return Finding(check.name, Verdict.SKIPPED, skipped.reason)
    except ConnectorError as error:
        return Finding(check.name, Verdict.BAD, str(error), otherwise)
