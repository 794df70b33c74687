"""Which definition offers which asset to whom, as a table that is kept up to date when something is published.

`offer` has a row per member of the audience (or `*`), asset and definition. A page of the catalog is then two walks
along an index, one for `*` and one for the asking BPN, merged; its cost follows the page and not the stock. EDC
evaluates every definition over every asset for each page and applies the limit at the end (EDC issue 5545).

Publishing pays instead. A definition meets all assets in one INSERT .. SELECT. An asset must not meet all definitions,
so each definition is anchored at one of its equality criteria (`selector`): an asset only meets those anchored at one
of its own properties and those without any, and the rest of their criteria is checked here.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Column, Delete, Select, Table, bindparam, delete, insert, select
from typing_extensions import override

from connector.exchange.ports import OfferIndex, Offering
from connector.exchange.query import Criterion
from connector.exchange.records import Asset, ContractDefinition
from connector.policy.model import lexical
from connector.policy.partner import IN_GROUP
from connector.protocol.errors import NotFound
from connector.storage import codec, offer_sql, tables
from connector.storage.conditions import Condition
from connector.storage.connection import Connection
from connector.storage.fields import selector_condition
from connector.storage.properties import ID, comparable, fulfils, is_private, key_of, path_of

EQUALITIES: Final = frozenset({"=", "in", "contains"})
SHORT: Final = 1000
"""How far lists are counted to find the shortest; beyond, all are long."""
MANY_VALUES: Final = 16
"""An `in` with more values than this does not lead a page; it is checked row by row."""
AT_ONCE: Final = 4096


class MaterialisedOffers(OfferIndex):
    """The offer index in three tables. Put an asset or a definition here after its repository has it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._place = {kind.table.name: self._compiled_place(kind.table) for kind in (codec.ASSET, codec.DEFINITION)}
        sql = connection.sql
        self._clear = [
            sql.get(("clear", table.name), partial(_delete_of, table.c.definition))
            for table in (tables.offer, tables.selector, tables.audience)
        ]
        self._clear_asset = sql.get("clear asset", partial(_delete_of, tables.offer.c.asset))
        self._candidates = sql.get("candidates", offer_sql.candidates)
        self._offer_asset = sql.get("offer asset", offer_sql.offer_asset)
        self._insert_selector = sql.get("insert selector", lambda: insert(tables.selector))
        self._insert_audience = sql.get("insert audience", lambda: insert(tables.audience))

    def _compiled_place(self, table: Table) -> str:
        return self._connection.sql.get(
            ("place", table.name), lambda: select(table.c.cursor).where(table.c.id == bindparam("id"))
        )

    @override
    def put_asset(self, asset: Asset) -> None:
        cursor = self._cursor(codec.ASSET, asset.id)
        self._connection.change(self._clear_asset, {"of": cursor})
        own = comparable(asset)
        candidates = self._connection.rows(self._candidates, {"of": cursor, "id": asset.id})
        offered = [
            {"of": cursor, "definition": number}
            for number, doc in candidates
            if all(fulfils(own, criterion) for criterion in codec.selector_of(doc))
        ]
        self._connection.change_each(self._offer_asset, offered)

    @override
    def drop_asset(self, asset_id: str) -> None:
        if (cursor := self._find(codec.ASSET, asset_id)) is not None:
            self._connection.change(self._clear_asset, {"of": cursor})

    @override
    def put_definition(self, definition: ContractDefinition, audience: frozenset[str] | None) -> None:
        number = self._cursor(codec.DEFINITION, definition.id)
        self._clear_definition(number)
        members = [tables.ANYONE] if audience is None else sorted(audience)
        self._connection.change_each(self._insert_audience, [{"definition": number, "member": m} for m in members])
        anchor = self._anchor(definition.selector)
        self._connection.change_each(
            self._insert_selector, [{"path": p, "value": v, "definition": number} for p, v in _anchor_rows(anchor)]
        )
        rest = [c for c in definition.selector if c is not anchor]
        conditions = [selector_condition(c, f"c{i}", tables.asset.c.cursor) for i, c in enumerate(rest)]
        kind = offer_sql.UNANCHORED if anchor is None else ID if path_of(anchor.left) == ID else offer_sql.PROPERTY
        text = self._connection.sql.get(
            ("offer definition", kind, *(c.shape for c in conditions)),
            lambda: offer_sql.offer_definition(kind, conditions),
        )
        # Two values of one asset may match. (SQLite's grammar needs the WHERE of the SELECT before ON CONFLICT.)
        self._connection.change(f"{text} ON CONFLICT DO NOTHING", {"of": number} | _params(conditions))

    @override
    def drop_definition(self, definition_id: str) -> None:
        if (number := self._find(codec.DEFINITION, definition_id)) is not None:
            self._clear_definition(number)

    def _clear_definition(self, number: int) -> None:
        for text in self._clear:
            self._connection.change(text, {"of": number})

    @override
    def page(
        self,
        bpn: str | None,
        *,
        groups: Collection[str] = (),
        after: int = 0,
        limit: int,
        offset: int = 0,
        criteria: Sequence[Criterion] = (),
    ) -> list[Offering]:
        if any(is_private(path_of(c.left)) for c in criteria):
            return []  # for a counterparty there are no private properties
        cursors: set[int] = set()
        members = audiences_of(bpn, groups)
        for member in members:
            cursors.update(self._walk(member, after, limit + offset, criteria))
        return self._load(sorted(cursors)[offset : offset + limit], members)

    @override
    def find(self, asset_id: str, bpn: str | None, groups: Collection[str] = ()) -> Offering | None:
        cursor = self._find(codec.ASSET, asset_id)
        found = [] if cursor is None else self._load([cursor], audiences_of(bpn, groups))
        return found[0] if found else None

    def _walk(self, member: str, after: int, limit: int, criteria: Sequence[Criterion]) -> Iterable[int]:
        """The first `limit` cursors behind `after` in one member's list; ordered within each part."""
        params = {"member": member, "after": after, "page_limit": limit}
        start = self._start(member, after, criteria)
        if start is None:
            yield from self._cursors("offers", criteria, params)
            return
        along = ID if path_of(start.left) == ID else offer_sql.PROPERTY
        rest = [c for c in criteria if c is not start]
        for path, value in _anchor_rows(start):
            yield from self._cursors(along, rest, params | {"path": path, "value": value})

    def _start(self, member: str, after: int, criteria: Sequence[Criterion]) -> Criterion | None:
        """The criterion whose index leads, None if the list of offers itself is shorter."""
        equalities = [c for c in criteria if c.operator in EQUALITIES and len(_anchor_rows(c)) <= MANY_VALUES]
        weights = [self._weight(c) for c in equalities]
        if not weights or min(weights) == 0:
            return equalities[weights.index(0)] if weights else None
        length = self._count(offer_sql.bounded_length, {"member": member, "after": after, "page_limit": SHORT + 1})
        return equalities[weights.index(min(weights))] if min(weights) <= length else None

    def _anchor(self, criteria: Sequence[Criterion]) -> Criterion | None:
        """The equality that the fewest assets have and the fewest definitions hang on, the id's before all others."""
        equalities = [c for c in criteria if c.operator in EQUALITIES]
        if len(equalities) < 2:  # noqa: PLR2004 - nothing to choose from
            return equalities[0] if equalities else None
        return min(equalities, key=lambda c: self._weight(c, definitions=SHORT))

    def _weight(self, criterion: Criterion, *, definitions: int = 0) -> int:
        """How many assets an equality may leave, and up to `definitions` anchored at it; both counted up to a bound."""
        if path_of(criterion.left) == ID:
            return 0
        bounds = {"assets": SHORT, "definitions": definitions}
        rows = _anchor_rows(criterion)
        counted = [
            self._count(offer_sql.spread, {"path": path, "value": value} | bounds) for path, value in rows[:MANY_VALUES]
        ]
        return 1 + sum(counted) + len(rows) - len(counted)

    def _count(self, build: Callable[[], Select[Any]], params: dict[str, Any]) -> int:
        row = self._connection.row(self._connection.sql.get(build, build), params)
        return 0 if row is None else int(row[0])

    def _cursors(self, along: str, criteria: Sequence[Criterion], params: dict[str, Any]) -> list[int]:
        cursor, build = offer_sql.WALKS[along]
        conditions = [selector_condition(c, f"c{i}", cursor) for i, c in enumerate(criteria)]
        text = self._connection.sql.get(("walk", along, *(c.shape for c in conditions)), lambda: build(conditions))
        return [cursor for (cursor,) in self._connection.rows(text, params | _params(conditions))]

    def _load(self, cursors: Sequence[int], members: Sequence[str]) -> list[Offering]:
        offered: dict[int, list[int]] = defaultdict(list)
        for part in _parts(cursors):
            counts = (len(members), len(part))
            text = self._connection.sql.get(("offers of", *counts), partial(offer_sql.offers_of, *counts))
            named = {f"m{i}": m for i, m in enumerate(members)} | {f"v{i}": c for i, c in enumerate(part)}
            for asset, definition in self._connection.rows(text, named):
                offered[asset].append(definition)
        assets = self._by_cursor(codec.ASSET, sorted(offered))
        definitions = self._by_cursor(codec.DEFINITION, sorted({n for numbers in offered.values() for n in numbers}))
        return [
            Offering(
                cursor,
                assets[cursor],
                tuple(sorted((definitions[n] for n in set(offered[cursor])), key=lambda d: d.id)),
            )
            for cursor in cursors
            if cursor in offered
        ]

    def _by_cursor(self, kind: codec.Codec[codec.R], cursors: Sequence[int]) -> dict[int, codec.R]:
        found: dict[int, codec.R] = {}
        columns = [kind.table.c[name] for name in ("cursor", *kind.columns)]
        for part in _parts(cursors):
            text = self._connection.sql.get(
                ("by cursor", kind.kind, len(part)), partial(offer_sql.by_cursor, columns, len(part))
            )
            rows = self._connection.rows(text, {f"v{i}": c for i, c in enumerate(part)})
            found.update({row[0]: kind.read(row[1:]) for row in rows})
        return found

    def _find(self, kind: codec.Codec[Any], identifier: str) -> int | None:
        row = self._connection.row(self._place[kind.table.name], {"id": identifier})
        return None if row is None else int(row[0])

    def _cursor(self, kind: codec.Codec[Any], identifier: str) -> int:
        if (cursor := self._find(kind, identifier)) is None:
            raise NotFound(f"there is no {kind.kind} {identifier}: keep it first, then index it", value=identifier)
        return cursor


def _delete_of(column: Column[Any]) -> Delete:
    return delete(column.table).where(column == bindparam("of"))


def _anchor_rows(anchor: Criterion | None) -> list[tuple[str, str]]:
    if anchor is None:
        return [(offer_sql.UNANCHORED, "")]
    path = path_of(anchor.left)
    right = anchor.right if isinstance(anchor.right, tuple) else (anchor.right,)
    form = lexical if path == ID else key_of
    return [(path, value) for value in dict.fromkeys(form(v) for v in right)]


def audiences_of(bpn: str | None, groups: Collection[str]) -> list[str]:
    """The audiences that somebody belongs to. A number can be no group: it must not let its bearer into one."""
    numbers = [] if bpn is None or bpn == tables.ANYONE or bpn.startswith(IN_GROUP) else [bpn]
    return [tables.ANYONE, *numbers, *(IN_GROUP + group for group in sorted(groups))]


def _parts(cursors: Sequence[int]) -> Iterable[list[int]]:
    """Cut into lists filled up to powers of two by repetition, so that few statements exist."""
    for start in range(0, len(cursors), AT_ONCE):
        part = list(cursors[start : start + AT_ONCE])
        yield part + part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))


def _params(conditions: Iterable[Condition]) -> dict[str, Any]:
    return {name: value for condition in conditions for name, value in condition.params.items()}
