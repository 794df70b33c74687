"""Which disclosure classes a reader has: a lattice, not a ladder (Regulation (EU) 2023/1542, Art. 77(2)).

An authority reads results of test reports and not the use data of one battery; a recycler the other way round. So no
audience contains the other, and what a reader gets follows from three things together: who it is, for what purpose, and
about which battery. The table is data, `policies/passport-audiences.json`. Who is not in it gets what everybody gets.

An audience is never the reader's own word: it is written into the offer that the reader's contract was made on, by who
published it, and guarded by the offer's access policy.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

from connector.passport.disclosure import COMMERCIAL, PUBLIC
from connector.protocol.errors import Invalid
from connector.semantics.registry import data_folder

AUDIENCES_FILE: Final = "passport-audiences.json"
_ANY_OF: Final = "*"


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads for what.

    `battery` is the passport id that it is limited to (None: any); `classes` are what a contract opens (None: all that
    the audience has by itself).
    """

    audience: str
    purpose: str = ""
    battery: str | None = None
    classes: frozenset[str] | None = None


EVERYBODY: Final = Reading("public")


@dataclass(frozen=True, slots=True)
class Terms:
    """The templates (`connector.policy.templates`) that let an audience in: who sees the offer, and what it may do."""

    access: str
    usage: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What an audience has for a purpose. `by_contract`: only if a contract names it. `terms`: None if none fit."""

    classes: frozenset[str]
    by_contract: frozenset[str] = frozenset()
    one_battery: bool = False
    terms: Terms | None = None


@dataclass(frozen=True, slots=True)
class Lattice:
    """The table. Raises Invalid if an audience has a commercial class without a contract."""

    edition: str
    rules: Mapping[tuple[str, str], Rule]

    def __post_init__(self) -> None:
        for (audience, purpose), rule in self.rules.items():
            if any(name.startswith(COMMERCIAL) for name in rule.classes):
                raise Invalid(f"{audience}/{purpose} has a commercial class; only a contract may open those")

    @classmethod
    def parse(cls, doc: Mapping[str, Any]) -> Self:
        """Read the data file. Raise Invalid if it is not one."""
        try:
            rules = {
                (audience, purpose): Rule(
                    frozenset(row["classes"]),
                    frozenset(row.get("by_contract", ())),
                    bool(row.get("one_battery")),
                    Terms(**row["terms"]) if "terms" in row else None,
                )
                for audience, entry in doc["audiences"].items()
                for purpose, row in entry["purposes"].items()
            }
            return cls(doc["edition"], rules)
        except (KeyError, TypeError, AttributeError) as fault:
            raise Invalid(f"the table of audiences lacks {fault}") from None

    def rule(self, audience: str, purpose: str) -> Rule | None:
        """The rule for a purpose; `cx.*` in the table stands for every purpose that begins so."""
        if (rule := self.rules.get((audience, purpose))) is not None:
            return rule
        wide = (
            rule
            for (name, prefix), rule in self.rules.items()
            if name == audience and prefix.endswith(_ANY_OF) and purpose.startswith(prefix[:-1])
        )
        return next(wide, None)

    def classes(self, reading: Reading, passport_id: str) -> frozenset[str]:
        """The classes of one reading of one passport: what table and contract both give, and what everybody has."""
        public = frozenset({PUBLIC})
        rule = self.rule(reading.audience, reading.purpose)
        if rule is None or reading.battery not in (None, passport_id) or (rule.one_battery and reading.battery is None):
            return public
        if reading.classes is None:
            return rule.classes | public
        return (rule.classes | rule.by_contract) & reading.classes | public

    def check(self, reading: Reading) -> None:
        """Raise Invalid, with what is possible, for a reading that the table does not know or would cut."""
        rule = self.rule(reading.audience, reading.purpose)
        if rule is None:
            said = ":".join(part for part in (reading.audience, reading.purpose) if part)
            raise Invalid(f"no audience {said}; known are {', '.join(self.names())}")
        if rule.one_battery and reading.battery is None:
            raise Invalid(f"{reading.audience}:{reading.purpose} is for one battery, which must be named")
        if reading.classes is not None and (more := reading.classes - rule.classes - rule.by_contract):
            raise Invalid(f"{reading.audience}:{reading.purpose} cannot be given {', '.join(sorted(more))}")

    def names(self) -> Iterable[str]:
        """Audiences with their purposes, as `--for` takes them."""
        return (f"{audience}:{purpose}" if purpose else audience for audience, purpose in self.rules)


@cache
def lattice() -> Lattice:
    """The table delivered with the connector."""
    return Lattice.parse(json.loads((data_folder("policies") / AUDIENCES_FILE).read_bytes()))
