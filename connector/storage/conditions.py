"""Criteria as SQL: one clause per operator, with the values apart, so that a query of a known shape is only run.

A missing value fulfils nothing, as NULL does in SQL. LIKE has no escape character here: a backslash is a backslash on
both databases. `contains` means that a list holds exactly this value (EDC), and a single value counts as a list of one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, bindparam, false, func

from connector.exchange.query import Criterion, Scalar
from connector.protocol.errors import Invalid

LONGEST_LIST: Final = 5000
"""Values on the right of `in`; SQLite takes 32,766 parameters in a statement, psycopg twice that."""
PATTERNS: Final = frozenset({"like", "ilike"})
Convert = Callable[[Scalar], Any]


@dataclass(frozen=True, slots=True)
class Condition:
    """A criterion ready to run: `shape` decides the SQL that `clause` builds, `params` are its values."""

    shape: tuple[object, ...]
    clause: Callable[[], ColumnElement[bool]]
    params: Mapping[str, Any]


def arity(criterion: Criterion) -> int:
    """How many parameters the right side takes; lists are filled up to powers of two, so that few shapes exist."""
    if not isinstance(criterion.right, tuple):
        return 1
    if len(criterion.right) > LONGEST_LIST:
        raise Invalid(f"'{criterion.operator}' takes at most {LONGEST_LIST} values", "/operandRight")
    return 0 if not criterion.right else 1 << (len(criterion.right) - 1).bit_length()


def compare(expression: ColumnElement[Any], operator: str, name: str, count: int) -> ColumnElement[bool]:
    """The clause `expression operator :name`; for lists `count` parameters `name_0`, `name_1`, ..."""
    right: ColumnElement[Any] = bindparam(name, type_=expression.type)
    if operator in {"in", "not in"}:
        values = [bindparam(f"{name}_{i}", type_=expression.type) for i in range(count)]
        if operator == "in":
            return expression.in_(values) if values else false()
        return expression.not_in(values) if values else expression.is_not(None)
    if operator == "like":
        return expression.like(right, escape="\\")
    if operator == "ilike":
        return func.lowered(expression, type_=Text()).like(func.lowered(right, type_=Text()), escape="\\")
    if operator in {"=", "contains"}:
        return expression == right
    clause: ColumnElement[bool] = expression.op(operator, is_comparison=True)(right)
    return clause


def parameters(criterion: Criterion, name: str, count: int, convert: Convert) -> dict[str, Any]:
    """The values for `compare`. `convert` raises Invalid for what cannot be compared."""
    if isinstance(criterion.right, tuple):
        values = [convert(v) for v in criterion.right]
        return {f"{name}_{i}": values[min(i, len(values) - 1)] for i in range(count)}
    if criterion.operator in PATTERNS:
        return {name: str(criterion.right).replace("\\", "\\\\")}
    return {name: convert(criterion.right)}
