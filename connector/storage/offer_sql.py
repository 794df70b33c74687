"""The statements of the offer index. Each walk follows one index in catalog order and stops at its limit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Select,
    Text,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    select,
)

from connector.storage import tables
from connector.storage.conditions import Condition
from connector.storage.properties import ID

UNANCHORED: Final = "*"
"""The path in `selector` of definitions without an equality criterion."""
PROPERTY: Final = "property"

_ID: Final[ColumnElement[str]] = literal_column(f"'{ID}'", Text())
_UNANCHORED: Final[ColumnElement[str]] = literal_column(f"'{UNANCHORED}'", Text())
_ZERO: Final[ColumnElement[int]] = literal_column("0", BigInteger())  # for SQLite a LIMIT needs an OFFSET
_NO_VALUE: Final[ColumnElement[str]] = literal_column("''", Text())
_asset, _definition, _offer = tables.asset.c, tables.definition.c, tables.offer.c
_leaf, _anchor, _audience = tables.asset_property.c, tables.selector.c, tables.audience.c


def candidates() -> Select[Any]:
    """Number and doc of the definitions whose anchor the asset `of` (cursor) with `id` has, or that have no anchor."""
    by_property = (
        select(_anchor.definition)
        .select_from(
            tables.asset_property.join(tables.selector, (_anchor.path == _leaf.path) & (_anchor.value == _leaf.value))
        )
        .where(_leaf.asset == bindparam("of"))
    )
    by_id = select(_anchor.definition).where(_anchor.path == _ID, _anchor.value == bindparam("id", type_=Text()))
    always = select(_anchor.definition).where(_anchor.path == _UNANCHORED, _anchor.value == _NO_VALUE)
    return select(_definition.cursor, _definition.doc).where(
        _definition.cursor.in_(by_property.union_all(by_id, always))
    )


def offer_asset() -> Insert:
    """Offer the asset `of` (cursor) under `definition` to all its audience."""
    rows = select(
        _audience.member, bindparam("of", type_=BigInteger()), bindparam("definition", type_=BigInteger())
    ).where(_audience.definition == bindparam("definition", type_=BigInteger()))
    return insert(tables.offer).from_select(["audience", "asset", "definition"], rows)


def offer_definition(kind: str, conditions: Sequence[Condition]) -> Insert:
    """Offer all assets at the anchors of definition `of` that fulfil `conditions` to its audience."""
    source = {
        UNANCHORED: tables.asset.join(tables.selector, _anchor.path == _UNANCHORED),
        ID: tables.selector.join(tables.asset, (_anchor.path == _ID) & (_asset.id == _anchor.value)),
        PROPERTY: tables.selector.join(
            tables.asset_property, (_leaf.path == _anchor.path) & (_leaf.value == _anchor.value)
        ).join(tables.asset, _asset.cursor == _leaf.asset),
    }[kind]
    of = bindparam("of", type_=BigInteger())
    rows = (
        select(_audience.member, _asset.cursor, _anchor.definition)
        .select_from(source.join(tables.audience, _audience.definition == _anchor.definition))
        .where(_anchor.definition == of, *(c.clause() for c in conditions))
    )
    return insert(tables.offer).from_select(["audience", "asset", "definition"], rows)


def _offered_to(member: ColumnElement[Any], asset: ColumnElement[Any]) -> ColumnElement[bool]:
    seen = tables.offer.alias("seen")
    return exists().where(seen.c.audience == member, seen.c.asset == asset)


def _behind(cursor: ColumnElement[Any]) -> ColumnElement[bool]:
    return cursor > bindparam("after", type_=BigInteger())


def _member() -> ColumnElement[Any]:
    return bindparam("member", type_=Text())


def _along_offers(conditions: Sequence[Condition]) -> Select[Any]:
    return _limited(
        select(_offer.asset)
        .distinct()
        .where(_offer.audience == _member(), _behind(_offer.asset), *(c.clause() for c in conditions)),
        _offer.asset,
    )


def _along_property(conditions: Sequence[Condition]) -> Select[Any]:
    return _limited(
        select(_leaf.asset).where(
            _leaf.path == bindparam("path", type_=Text()),
            _leaf.value == bindparam("value", type_=Text()),
            _behind(_leaf.asset),
            _offered_to(_member(), _leaf.asset),
            *(c.clause() for c in conditions),
        ),
        _leaf.asset,
    )


def _along_id(conditions: Sequence[Condition]) -> Select[Any]:
    return _limited(
        select(_asset.cursor).where(
            _asset.id == bindparam("value", type_=Text()),
            _behind(_asset.cursor),
            _offered_to(_member(), _asset.cursor),
            *(c.clause() for c in conditions),
        ),
        _asset.cursor,
    )


def _limited(walk: Select[Any], cursor: ColumnElement[Any]) -> Select[Any]:
    return walk.order_by(cursor).limit(bindparam("page_limit")).offset(_ZERO)


WALKS: Final[Mapping[str, tuple[ColumnElement[Any], Callable[[Sequence[Condition]], Select[Any]]]]] = {
    "offers": (_offer.asset, _along_offers),
    PROPERTY: (_leaf.asset, _along_property),
    ID: (_asset.cursor, _along_id),
}
"""Where a walk goes along, the column that is the asset's cursor there, and its statement.

All take `member`, `after` and `page_limit`; those along a value take `path` and `value`.
"""


def bounded_length() -> Select[Any]:
    """How many offers a member has behind `after`, counted up to `page_limit`."""
    some = select(_offer.asset).where(_offer.audience == _member(), _behind(_offer.asset))
    return select(func.count()).select_from(some.limit(bindparam("page_limit")).offset(_ZERO).subquery())


def spread() -> Select[Any]:
    """How many assets have `value` at `path` (up to `assets`), and how many definitions hang there (`definitions`)."""
    here = {"path": bindparam("path", type_=Text()), "value": bindparam("value", type_=Text())}
    counts = [
        select(func.count())
        .select_from(
            select(table.c.path)
            .where(table.c.path == here["path"], table.c.value == here["value"])
            .limit(bindparam(bound))
            .offset(_ZERO)
            .subquery()
        )
        .scalar_subquery()
        for table, bound in ((tables.asset_property, "assets"), (tables.selector, "definitions"))
    ]
    return select(counts[0] + counts[1])


def offers_of(members: int, assets: int) -> Select[Any]:
    """Asset and definition of the offers of assets `v0`... to members `m0`..."""
    return select(_offer.asset, _offer.definition).where(
        _offer.asset.in_([bindparam(f"v{i}") for i in range(assets)]),
        _offer.audience.in_([bindparam(f"m{i}") for i in range(members)]),
    )


def by_cursor(columns: Sequence[ColumnElement[Any]], count: int) -> Select[Any]:
    """`columns` of the rows whose cursor, the first of them, is one of `v0`..."""
    return select(*columns).where(columns[0].in_([bindparam(f"v{i}") for i in range(count)]))
