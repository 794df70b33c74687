"""Repositories over one table each; the codec says how a record is kept, the fields how it is asked for.

All SQL of a table is compiled once per dialect. A query's text depends on its shape only (names, operators, the order),
so a client that polls costs the running of one statement.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, insert, select, update
from typing_extensions import override

from connector.exchange.ports import ProcessRepository, Repository
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Asset
from connector.protocol.errors import Conflict, NotFound
from connector.storage import tables
from connector.storage.codec import ASSET, Codec, Values
from connector.storage.conditions import Condition
from connector.storage.connection import Connection
from connector.storage.fields import ASSET as ASSET_FIELDS
from connector.storage.fields import Fields
from connector.storage.properties import leaves

R = TypeVar("R")
AT_ONCE: Final = 4096
"""Ids asked for in one statement."""


class TableRepository(Repository[R], Generic[R]):
    """The records of one kind in one table."""

    def __init__(self, connection: Connection, codec: Codec[R], fields: Fields) -> None:
        self._connection = connection
        self._codec = codec
        self._fields = fields
        self._table = table = codec.table
        self._columns = [table.c[name] for name in codec.columns]
        self._age: ColumnElement[Any] = table.c["created_at" if "created_at" in table.c else "due_at"]
        kind, sql, by_id = codec.kind, connection.sql, table.c.id == bindparam("identifier")

        def values(*kept: str) -> Values:
            return {c.name: bindparam(c.name) for c in self._columns if c.name not in kept}

        self._find = sql.get((kind, "find"), lambda: select(*self._columns).where(by_id))
        self._insert = sql.get((kind, "insert"), lambda: insert(table).values(values()).inline())
        self._update = sql.get((kind, "update"), lambda: update(table).where(by_id).values(values("id", "created_at")))
        self._delete = sql.get((kind, "delete"), lambda: delete(table).where(by_id))

    @override
    def find(self, identifier: str) -> R | None:
        row = self._connection.row(self._find, {"identifier": identifier})
        return None if row is None else self._codec.read(row)

    @override
    def get(self, identifier: str) -> R:
        if (record := self.find(identifier)) is None:
            raise self._missing(identifier)
        return record

    @override
    def get_many(self, identifiers: Iterable[str]) -> dict[str, R]:
        wanted = list(dict.fromkeys(identifiers))
        found: dict[str, R] = {}
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            rows = self._rows_of("id", part)
            found.update({row[0]: self._codec.read(row) for row in rows})
        return {ident: found[ident] for ident in wanted if ident in found}

    def _rows_of(self, column: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows with one of `values` in `column`; the list is filled up so that few statements exist."""
        size = 1 << (len(values) - 1).bit_length()
        text = self._connection.sql.get(
            (self._codec.kind, "many", column, size),
            lambda: select(*self._columns).where(self._table.c[column].in_([bindparam(f"v{i}") for i in range(size)])),
        )
        return self._connection.rows(text, {f"v{i}": values[min(i, len(values) - 1)] for i in range(size)})

    @override
    def add(self, record: R) -> None:
        values = self._codec.write(record)
        # In PostgreSQL a failed INSERT would spoil the transaction, so a taken key is asked for and not tried.
        if not self._connection.change(f"{self._insert} ON CONFLICT DO NOTHING", values):
            ident = values["id"]
            if self.find(ident) is not None:
                raise Conflict(f"{self._codec.kind} {ident} exists already", "/@id", ident)
            raise Conflict(f"the counterparty has a {self._codec.kind} of this id with us already", "/@id", ident)

    @override
    def save(self, record: R) -> None:
        values = self._codec.write(record)
        values["identifier"] = values["id"]
        if not self._connection.change(self._update, values):
            raise self._missing(values["id"])

    @override
    def delete(self, identifier: str) -> None:
        if not self._connection.change(self._delete, {"identifier": identifier}):
            raise self._missing(identifier)

    @override
    def query(self, spec: QuerySpec) -> list[R]:
        conditions = self._conditions(spec.criteria)
        order = None if spec.sort_field is None else self._fields.order(spec.sort_field, "sort")
        params: dict[str, Any] = {"page_limit": spec.limit, "page_offset": spec.offset}
        for condition in conditions:
            params.update(condition.params)
        params.update({} if order is None else order.params)
        shapes = (tuple(c.shape for c in conditions), None if order is None else order.shape, spec.descending)

        def build() -> Select[Any]:
            keys = [self._age] if order is None else order.keys()
            ranked = [(k.desc() if spec.descending else k.asc(), getattr(k, "nullable", True)) for k in keys]
            return (
                select(*self._columns)
                .where(*(c.clause() for c in conditions))
                .order_by(*(k.nulls_last() if may_miss else k for k, may_miss in ranked))
                .order_by(self._table.c.id.desc() if spec.descending else self._table.c.id)
                .limit(bindparam("page_limit"))
                .offset(bindparam("page_offset"))
            )

        text = self._connection.sql.get((self._codec.kind, "query", *shapes), build)
        return [self._codec.read(row) for row in self._connection.rows(text, params)]

    @override
    def count(self, criteria: Sequence[Criterion] = ()) -> int:
        conditions = self._conditions(criteria)
        text = self._connection.sql.get(
            (self._codec.kind, "count", *(c.shape for c in conditions)),
            lambda: select(func.count()).select_from(self._table).where(*(c.clause() for c in conditions)),
        )
        row = self._connection.row(text, {k: v for c in conditions for k, v in c.params.items()})
        return int(row[0]) if row else 0

    def _conditions(self, criteria: Sequence[Criterion]) -> list[Condition]:
        return [self._fields.condition(c, f"c{i}") for i, c in enumerate(criteria)]

    def _missing(self, identifier: str) -> NotFound:
        return NotFound(f"there is no {self._codec.kind} {identifier}", value=identifier)


class ProcessTableRepository(TableRepository[R], ProcessRepository[R]):
    """Negotiations or transfers."""

    def __init__(self, connection: Connection, codec: Codec[R], fields: Fields) -> None:
        super().__init__(connection, codec, fields)
        table = self._table
        self._by_peer = connection.sql.get(
            (codec.kind, "by peer"),
            lambda: select(*self._columns).where(
                table.c.peer_id == bindparam("peer_id"), table.c.peer_pid == bindparam("peer_pid")
            ),
        )

    @override
    def find_by_peer(self, peer_id: str, peer_pid: str) -> R | None:
        row = self._connection.row(self._by_peer, {"peer_id": peer_id, "peer_pid": peer_pid})
        return None if row is None else self._codec.read(row)


class AssetRepository(TableRepository[Asset]):
    """Assets, with the index of their properties."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, ASSET, ASSET_FIELDS)
        sql, leaf, stock = connection.sql, tables.asset_property, tables.asset
        self._cursor = sql.get("asset cursor", lambda: select(stock.c.cursor).where(stock.c.id == bindparam("id")))
        self._insert_leaf = sql.get("insert leaf", lambda: insert(leaf))
        self._delete_leaves = sql.get(
            "delete leaves", lambda: delete(leaf).where(leaf.c.asset == bindparam("of_asset"))
        )

    @override
    def add(self, record: Asset) -> None:
        super().add(record)
        self._index(record, self._place(record.id))

    @override
    def save(self, record: Asset) -> None:
        super().save(record)
        cursor = self._place(record.id)
        self._connection.change(self._delete_leaves, {"of_asset": cursor})
        self._index(record, cursor)

    def _place(self, identifier: str) -> int:
        row = self._connection.row(self._cursor, {"id": identifier})
        if row is None:
            raise self._missing(identifier)
        return int(row[0])

    def _index(self, record: Asset, cursor: int) -> None:
        self._connection.change_each(
            self._insert_leaf,
            [
                {"asset": cursor, "path": path, "value": leaf.value, "number": leaf.number}
                for path, found in leaves(record).items()
                for leaf in found
            ],
        )
