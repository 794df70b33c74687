"""EDC's QuerySpec: how the management API and EDC's catalog filter ask for a part of a list.

Left operands are paths: a field of the object (`state`, `counterPartyId`, `contractAgreement.assetId`) or, for assets,
the expanded key of a property. What a path means is the storage's business; an unknown one is refused, because clients
probe field names and must hear that one does not exist.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from connector.protocol.errors import Invalid

OPERATORS: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "in", "not in", "like", "ilike", "contains"})
LISTS: Final = frozenset({"in", "not in"})
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 10_000
MAX_OFFSET: Final = 2**31 - 1
MAX_CRITERIA: Final = 64
"""Conditions in one query: its SQL grows with them, and strangers filter catalogs."""

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Criterion:
    """One condition; several are AND-ed. `right` is a tuple exactly for `in` and `not in`."""

    left: str
    operator: str
    right: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if not self.left.strip():
            raise Invalid("a criterion needs an operandLeft", "/operandLeft", self.left)
        if self.operator not in OPERATORS:
            raise Invalid(f"operator must be one of {', '.join(sorted(OPERATORS))}", "/operator", self.operator)
        if isinstance(self.right, tuple) is not (self.operator in LISTS):
            raise Invalid("operandRight is a list for 'in' and 'not in', and only there", "/operandRight")

    def to_json(self) -> dict[str, object]:
        """EDC's Criterion object."""
        right = list(self.right) if isinstance(self.right, tuple) else self.right
        return {"@type": "Criterion", "operandLeft": self.left, "operator": self.operator, "operandRight": right}


@dataclass(frozen=True, slots=True)
class QuerySpec:
    """A page of a list: `offset` rows are left out, at most `limit` are given."""

    offset: int = 0
    limit: int = DEFAULT_LIMIT
    sort_field: str | None = None
    descending: bool = False
    criteria: tuple[Criterion, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= MAX_OFFSET:
            raise Invalid(f"offset must be between 0 and {MAX_OFFSET}", "/offset", self.offset)
        if not 1 <= self.limit <= MAX_LIMIT:
            raise Invalid(f"limit must be between 1 and {MAX_LIMIT}", "/limit", self.limit)
        if len(self.criteria) > MAX_CRITERIA:
            raise Invalid(f"a query has at most {MAX_CRITERIA} criteria", "/filterExpression")
        if self.sort_field is not None and not self.sort_field.strip():
            raise Invalid("sortField must not be blank", "/sortField", self.sort_field)


def parse_query(doc: object, pointer: str = "") -> QuerySpec:
    """Read a QuerySpec in plain form (bare member names). None and {} mean the first page of everything."""
    if doc is None:
        return QuerySpec()
    if not isinstance(doc, Mapping):
        raise Invalid("a QuerySpec is an object", pointer)
    order = doc.get("sortOrder") or "ASC"
    if order not in ("ASC", "DESC"):
        raise Invalid("sortOrder is ASC or DESC", f"{pointer}/sortOrder", order)
    sort = doc.get("sortField")
    if sort is not None and not isinstance(sort, str):
        raise Invalid("sortField is a string", f"{pointer}/sortField", sort)
    offset, limit = _integer(doc, "offset", 0, pointer), _integer(doc, "limit", DEFAULT_LIMIT, pointer)
    criteria = parse_criteria(doc.get("filterExpression"), f"{pointer}/filterExpression")
    with _placed(pointer):
        return QuerySpec(offset, limit, sort, order == "DESC", criteria)


def parse_criteria(doc: object, pointer: str = "") -> tuple[Criterion, ...]:
    """Read criteria: a list, one object (some clients send that), or nothing."""
    if doc is None:
        return ()
    rows = doc if isinstance(doc, list) else [doc]
    return tuple(_criterion(row, f"{pointer}/{i}") for i, row in enumerate(rows))


def _criterion(doc: object, pointer: str) -> Criterion:
    if not isinstance(doc, Mapping):
        raise Invalid("a Criterion is an object", pointer)
    left, operator = _plain(doc.get("operandLeft")), _plain(doc.get("operator"))
    if not isinstance(left, str):
        raise Invalid("operandLeft is a string", f"{pointer}/operandLeft", left)
    if not isinstance(operator, str):
        raise Invalid("operator is a string", f"{pointer}/operator", operator)
    if "operandRight" not in doc:
        raise Invalid("operandRight is missing", f"{pointer}/operandRight")
    right = _plain(doc["operandRight"])
    place = f"{pointer}/operandRight"
    if operator.lower() in LISTS:
        right = right if isinstance(right, list) else [right]
        operand: Scalar | tuple[Scalar, ...] = tuple(_scalar(_plain(v), place) for v in right)
    else:
        operand = _scalar(right, place)
    with _placed(pointer):
        return Criterion(left, operator.lower(), operand)


@contextmanager
def _placed(pointer: str) -> Iterator[None]:
    """Put the place of an object in front of the places that its constructor names."""
    try:
        yield
    except Invalid as error:
        raise Invalid(error.reason, pointer + error.pointer, error.value) from error


def _plain(value: object) -> object:
    """Unwrap JSON-LD value objects; clients send them for plain strings."""
    if isinstance(value, Mapping):
        for key in ("@value", "@id", "@list"):
            if key in value:
                return _plain(value[key])
    return value


def _scalar(value: object, pointer: str) -> Scalar:
    if isinstance(value, str | int | float | bool):
        return value
    raise Invalid("expected a string, a number or a boolean", pointer)


def _integer(doc: Mapping[str, object], key: str, default: int, pointer: str) -> int:
    value = doc.get(key, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f"{key} is an integer", f"{pointer}/{key}", value)
    return value
