"""Whether a passport is complete for its battery's category at a date (Regulation (EU) 2023/1542, Annex XIII).

What is due depends on both: recycled content is not due before August 2028, a capacity threshold is asked of car
batteries only, and a starter battery has no passport at all. So the answer has three values for each row of a dated
table (`policies/passport-completeness.json`): mandatory, optional, not yet due. What is mandatory and missing stops a
publication; what is there before it is due is only mentioned, for nobody has said yet how it is to be filled.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import cache
from typing import Any, Final, Self

from connector.protocol.errors import Invalid
from connector.semantics.registry import data_folder

COMPLETENESS_FILE: Final = "passport-completeness.json"
CATEGORY: Final = "/identification/category"


class Due(Enum):
    """Whether a row has to be filled."""

    MANDATORY = "mandatory"
    OPTIONAL = "optional"
    NOT_YET_DUE = "not yet due"


@dataclass(frozen=True, slots=True)
class Requirement:
    """When a row is mandatory: `since` None with NOT_YET_DUE means that the date is not known."""

    due: Due
    since: date | None = None

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read "mandatory", "optional" or {"mandatory": date or null}."""
        match value:
            case "mandatory":
                return cls(Due.MANDATORY)
            case "optional":
                return cls(Due.OPTIONAL)
            case {"mandatory": None}:
                return cls(Due.NOT_YET_DUE)
            case {"mandatory": str() as day}:
                return cls(Due.NOT_YET_DUE, date.fromisoformat(day))
        raise Invalid("a requirement is mandatory, optional or {mandatory: date}", value=value)

    def on(self, day: date) -> Due:
        """Whether it is due on a day."""
        if self.due is Due.NOT_YET_DUE and self.since is not None and day >= self.since:
            return Due.MANDATORY
        return self.due


@dataclass(frozen=True, slots=True)
class Row:
    """One data point; it is filled if all of `fields` (JSON pointers) are. `required` is by battery category."""

    number: int
    name: str
    fields: tuple[str, ...]
    basis: str
    required: Mapping[str, Requirement]


@dataclass(frozen=True, slots=True)
class Point:
    """What was found for a row: `missing` are the fields of it that are not filled."""

    row: Row
    due: Due
    missing: tuple[str, ...]

    @property
    def filled(self) -> bool:
        """All of it is there."""
        return not self.missing


@dataclass(frozen=True, slots=True)
class Completeness:
    """The answer for one passport, with the edition of the table that gave it."""

    edition: str
    category: str
    day: date
    points: tuple[Point, ...]

    @property
    def missing(self) -> tuple[Point, ...]:
        """What is mandatory and not filled."""
        return tuple(point for point in self.points if point.due is Due.MANDATORY and not point.filled)

    @property
    def early(self) -> tuple[Point, ...]:
        """What is filled before it is due."""
        return tuple(point for point in self.points if point.due is Due.NOT_YET_DUE and point.filled)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows for one aspect model."""

    edition: str
    aspect: str
    categories: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def parse(cls, doc: Mapping[str, Any]) -> Self:
        """Read the data file. Raise Invalid if it is not one."""
        try:
            categories = tuple(doc["categories"])
            rows = tuple(
                Row(
                    row["no"],
                    row["name"],
                    tuple(row["fields"]),
                    row["basis"],
                    {category: Requirement.parse(row[category]) for category in categories},
                )
                for row in doc["rows"]
            )
            return cls(doc["edition"], doc["aspect"], categories, rows)
        except (KeyError, TypeError, ValueError) as fault:
            raise Invalid(f"the table of completeness lacks {fault}") from None

    def judge(self, passport: object, day: date) -> Completeness:
        """Look a passport through. Raise Invalid for a battery of a category that has no passport."""
        category = _at(passport, CATEGORY)
        if not isinstance(category, str) or category not in self.categories:
            known = ", ".join(self.categories)
            raise Invalid(f"batteries of this category have no passport; those that have are {known}", CATEGORY)
        points = tuple(
            Point(row, row.required[category].on(day), tuple(at for at in row.fields if _empty(_at(passport, at))))
            for row in self.rows
        )
        return Completeness(self.edition, category, day, points)


@cache
def completeness_table() -> Table:
    """The table delivered with the connector."""
    return Table.parse(json.loads((data_folder("policies") / COMPLETENESS_FILE).read_bytes()))


def _at(node: object, place: str) -> object:
    for step in place[1:].split("/"):
        if not isinstance(node, dict):
            return None
        node = node.get(step)
    return node


def _empty(value: object) -> bool:
    """Nothing is said: nothing there, blank, or only containers of such."""
    match value:
        case None:
            return True
        case str():
            return not value.strip()
        case dict():
            return all(_empty(inner) for inner in value.values())
        case list():
            return all(_empty(inner) for inner in value)
        case _:
            return False
