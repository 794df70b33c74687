"""Asset properties as an inverted index: what a selector or a catalog filter may ask, and how it is compared.

An asset's properties are JSON-LD; a criterion names a path into them. Both are brought to one form, so that the same
criterion finds an asset however its properties were written: keys are expanded IRIs, the wrappers `@id` and `@value`
vanish, a list stands for each of its entries. A leaf is compared by its lexical form (2, 2.0 and "2" are equal) and,
where both sides are numbers, by size.

A path that an asset does not have fulfils nothing, not even `!=`: as in EDC, and because a failing check must deny. The
same comparison exists twice, in SQL (a definition meets all assets) and here (an asset meets the definitions); a
property-based test holds them together.
"""

import hashlib
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from connector.exchange.query import Criterion, Scalar
from connector.exchange.records import Asset
from connector.policy.model import lexical
from connector.protocol.vocabulary import EDC
from connector.semantics.operands import operand_path

ID: Final = "id"
"""The path of the asset's id, which is no property; those have a colon."""
WRAPPERS: Final = frozenset({"@id", "@value", "@list", "@set"})
PRIVATE: Final = "privateProperties"
SEPARATOR: Final = "\x1f"
LONGEST: Final = 512
"""Characters of a value in the index, as B-trees need a bound; a longer one is cut and told apart by its digest."""

ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Leaf(NamedTuple):
    """One scalar of an asset: its lexical form, and its size if it is a number."""

    value: str
    number: float | None


Leaves = Mapping[str, Sequence[Leaf]]


def key_of(value: Scalar) -> str:
    """The form a value is compared by for equality."""
    text = lexical(value)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 64]}{hashlib.sha256(text.encode()).hexdigest()}"


def is_number(value: object) -> bool:
    """True for what JSON calls a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@lru_cache(maxsize=4096)
def path_of(left: str) -> str:
    """The index path of a criterion's left operand, in any spelling. Raise Invalid if it cannot be read."""
    path = operand_path(left)
    head = path[0].removeprefix(EDC)
    if len(path) == 1 and head in {ID, "@id"}:
        return ID
    if head == PRIVATE and len(path) > 1:
        return SEPARATOR.join((PRIVATE, *_plain(path[1:])))
    if head == "properties" and len(path) > 1:
        path = path[1:]
    return SEPARATOR.join(_plain(path))


def is_private(path: str) -> bool:
    """True for a private property, which no counterparty may ask about."""
    return path.startswith(PRIVATE + SEPARATOR)


def _plain(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(p if ":" in p or p.startswith("@") else EDC + p for p in path if p not in WRAPPERS)


def leaves(asset: Asset) -> dict[str, list[Leaf]]:
    """All scalar properties of an asset by index path, private ones too."""
    found: dict[str, dict[str, Leaf]] = {}
    for prefix, properties in (((), asset.properties), ((PRIVATE,), asset.private_properties)):
        for key, value in properties.items():
            for path, leaf in _walk((key,), value):
                found.setdefault(SEPARATOR.join((*prefix, *_plain(path))), {}).setdefault(leaf.value, leaf)
    return {path: list(by_value.values()) for path, by_value in found.items()}


def _walk(path: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], Leaf]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk((*path, key), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _walk(path, inner)
    elif isinstance(value, str | int | float):
        yield path, Leaf(key_of(value), float(value) if is_number(value) else None)


def comparable(asset: Asset) -> dict[str, list[Leaf]]:
    """The leaves, and the asset's own id, which criteria may name too."""
    return leaves(asset) | {ID: [Leaf(key_of(asset.id), None)]}


def fulfils(asset_leaves: Leaves, criterion: Criterion) -> bool:
    """Tell whether an asset (`comparable`) fulfils a criterion; `fields.selector_condition` says the same in SQL."""
    found = asset_leaves.get(path_of(criterion.left), ())
    if criterion.operator in {"!=", "not in"}:
        values = _keys(criterion)
        return bool(found) and not any(leaf.value in values for leaf in found)
    return any(_holds(leaf, criterion) for leaf in found)


def _keys(criterion: Criterion) -> frozenset[str]:
    right = criterion.right if isinstance(criterion.right, tuple) else (criterion.right,)
    return frozenset(key_of(v) for v in right)


def _holds(leaf: Leaf, criterion: Criterion) -> bool:
    right = criterion.right
    if criterion.operator in {"=", "in", "contains"}:
        return leaf.value in _keys(criterion)
    if criterion.operator in ORDER:
        order = ORDER[criterion.operator]
        if is_number(right):
            return leaf.number is not None and order(leaf.number, right)
        return order(leaf.value, lexical(right))  # type: ignore[arg-type]  # a tuple only stands beside `in`
    if criterion.operator == "ilike":
        return like(str(right).lower()).fullmatch(leaf.value.lower()) is not None
    return like(str(right)).fullmatch(leaf.value) is not None


def like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE as a regular expression: % is anything, _ one character; there is no escape."""
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in pattern), re.DOTALL)
