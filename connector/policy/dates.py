"""The operands that are dates: when an offer may be used, and until when.

    inForceDate                         EDC vocabulary: now compared with an instant or contractAgreement+<n>{s,m,h,d}
    dateTime                            ODRL 2.2: now compared with an instant
    DataUsageEndDate                    Catena-X CX-0152: until that instant, which is included
    DataProvisioningEndDate             the same, as an obligation of the provider
    DataUsageEndDurationDays            until the end (UTC) of the n-th day after the day of the agreement
    DataProvisioningEndDurationDays     the same, as an obligation of the provider

The profile says `eq` where it means "until"; lteq is understood as the same. Days are counted as Tractus-X counts them.
A date without a time is the start of that day, a time without an offset is UTC. What counts from the agreement is
pending while there is none: it cannot stand in the way of concluding one, and must be known before data flows.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from connector.policy.circumstances import Circumstances, Finding
from connector.policy.model import Constraint, lexical
from connector.policy.vocabulary import operand_name, operators_of

_COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}
_UNTIL: Final[Mapping[str, str]] = {"eq": "lteq", "lteq": "lteq", "lt": "lt"}
_END_DATES: Final = frozenset({"DataUsageEndDate", "DataProvisioningEndDate"})
_END_DAYS: Final = frozenset({"DataUsageEndDurationDays", "DataProvisioningEndDurationDays"})
NAMES: Final = frozenset({"inForceDate", "dateTime", *_END_DATES, *_END_DAYS})

_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_FROM_AGREEMENT: Final = re.compile(r"contract[Aa]greement\+(-?[0-9]{1,9})([smhd])")
_DAYS: Final = re.compile(r"[1-9][0-9]{0,5}")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS: Final = _UNIT_MS["d"]
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limit:
    """A date constraint, read: `now` stands in `operator` (a comparison) to an instant.

    The instant is `ms`, counted from the agreement if `relative`; `whole_days` then counts from the end of its day.
    """

    operator: str
    ms: int
    relative: bool = False
    whole_days: bool = False

    def instant(self, agreed_at: int | None) -> int | None:
        """The instant in milliseconds since the epoch; None if it needs an agreement that there is not."""
        if not self.relative:
            return self.ms
        if agreed_at is None:
            return None
        return (agreed_at // _DAY_MS + 1) * _DAY_MS - 1 + self.ms if self.whole_days else agreed_at + self.ms

    def holds(self, now: int, instant: int) -> bool:
        """Whether the constraint is true at `now`."""
        return _COMPARISONS[self.operator](now, instant)


def check(constraint: Constraint, circumstances: Circumstances) -> Finding:
    """Compare now with the date on the right."""
    limit = read(constraint)
    if limit is None:
        name = operand_name(constraint.left)
        known = ", ".join(operators_of(name))
        return Finding(None, f"{name} knows the operators {known}, with a date (or duration) it can read")
    instant = limit.instant(circumstances.agreed_at)
    if instant is None:
        if circumstances.scope in {"transfer", "monitor"}:
            return Finding(None, "when the agreement was concluded is not known")
        return Finding(None, "it counts from an agreement, and there is none yet", waived="later")
    return Finding(limit.holds(circumstances.now, instant), f"at {_iso(circumstances.now)}")


def read(constraint: Constraint) -> Limit | None:
    """Read a date constraint; None if it is not one, or not one that can be understood."""
    name = operand_name(constraint.left)
    right = constraint.right
    if isinstance(right, tuple):
        if len(right) != 1:
            return None
        right = right[0]
    text = lexical(right).strip()
    if name in _END_DAYS:
        comparison = _UNTIL.get(constraint.operator)
        if comparison != "lteq" or not _DAYS.fullmatch(text):
            return None
        return Limit(comparison, int(text) * _DAY_MS, relative=True, whole_days=True)
    comparison = _UNTIL.get(constraint.operator) if name in _END_DATES else constraint.operator
    if name not in NAMES or comparison is None or comparison not in _COMPARISONS:
        return None
    if name == "inForceDate" and (match := _FROM_AGREEMENT.fullmatch(text)):
        return Limit(comparison, int(match[1]) * _UNIT_MS[match[2]], relative=True)
    ms = _instant(text)
    return None if ms is None else Limit(comparison, ms)


def _instant(text: str) -> int | None:
    """Milliseconds since the epoch of an xsd:dateTime or xsd:date, None if it is neither."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:  # the 31st of February
        return None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
