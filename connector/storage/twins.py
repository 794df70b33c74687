"""Twins, and by what each can be found by whom (`twins.visibility.links`), as rows of an index.

A search walks the rows of its reader and sees nobody else's, so its cost follows what the reader may find; a page goes
on behind the id it ended with, which holds however many twins come and go meanwhile. Links are looked up exactly, so
their digest stands in the index: a value may be longer than a database takes for a key.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
)
from typing_extensions import override

from connector.exchange.ports import TwinRepository
from connector.storage import tables
from connector.storage.codec import TWIN
from connector.storage.connection import Connection
from connector.storage.fields import TWIN as TWIN_FIELDS
from connector.storage.repositories import TableRepository
from connector.twins.shell import AssetLink, RegisteredShell
from connector.twins.visibility import LISTED, Reader, links

_ZERO: Final[ColumnElement[int]] = literal_column("0", BigInteger())  # for SQLite a LIMIT needs an OFFSET
SHORT: Final = 1000
"""How far the rows of a link are counted to find the rarest; beyond, all are common."""


class TwinTableRepository(TableRepository[RegisteredShell], TwinRepository):
    """Twins, with the index of their links."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, TWIN, TWIN_FIELDS)
        row = tables.twin_link
        self._put = connection.sql.get("insert twin link", lambda: insert(row))
        self._clear = connection.sql.get("delete twin links", lambda: delete(row).where(row.c.twin == bindparam("of")))

    @override
    def add(self, record: RegisteredShell) -> None:
        super().add(record)
        self._index(record)

    @override
    def save(self, record: RegisteredShell) -> None:
        super().save(record)
        self._connection.change(self._clear, {"of": record.id})
        self._index(record)

    def _index(self, record: RegisteredShell) -> None:
        rows = [{"subject": s, "link": _digest(link), "twin": record.id} for s, link in links(record.shell)]
        self._connection.change_each(self._put, rows)

    @override
    def search(
        self, reader: Reader, wanted: Sequence[AssetLink], *, after: str = "", limit: int
    ) -> list[RegisteredShell]:
        digests = sorted({_digest(link) for link in wanted or (LISTED,)}, key=partial(self._rows_with, reader))
        subjects = reader.subjects
        text = self._connection.sql.get(
            ("twins", len(subjects), len(digests)), lambda: _walk(len(subjects), len(digests))
        )
        params = {f"l{i}": digest for i, digest in enumerate(digests)} | {f"s{i}": s for i, s in enumerate(subjects)}
        found: set[str] = set()
        for subject in subjects:
            asked = params | {"subject": subject, "after": after, "page_limit": limit}
            found.update(ident for (ident,) in self._connection.rows(text, asked))
        return list(self.get_many(sorted(found)[:limit]).values())

    def _rows_with(self, reader: Reader, digest: str) -> int:
        """How many rows a link has for a reader, counted up to a bound."""
        text = self._connection.sql.get("count twin links", _count)
        counted = 0
        for subject in reader.subjects:
            row = self._connection.row(text, {"subject": subject, "l0": digest, "page_limit": SHORT})
            counted += int(row[0]) if row else 0
        return counted


def _digest(link: AssetLink) -> str:
    return hashlib.sha256(f"{link.name}\n{link.value}".encode()).hexdigest()


def _walk(subjects: int, digests: int) -> Select[str]:
    """The twins of one subject with the first link, in order, that have the others too, for any of the subjects."""
    lead, other = tables.twin_link, tables.twin_link.alias("other")
    names: list[BindParameter[str]] = [bindparam(f"s{i}") for i in range(subjects)]
    rest = (
        exists().where(other.c.twin == lead.c.twin, other.c.link == bindparam(f"l{i}"), other.c.subject.in_(names))
        for i in range(1, digests)
    )
    return (
        select(lead.c.twin)
        .where(lead.c.subject == bindparam("subject"), lead.c.link == bindparam("l0"), *rest)
        .where(lead.c.twin > bindparam("after"))
        .order_by(lead.c.twin)
        .limit(bindparam("page_limit"))
        .offset(_ZERO)
    )


def _count() -> Select[int]:
    row = tables.twin_link
    some: Select[str] = (
        select(row.c.twin)
        .where(row.c.subject == bindparam("subject"), row.c.link == bindparam("l0"))
        .limit(bindparam("page_limit"))
        .offset(_ZERO)
    )
    return select(func.count()).select_from(some.subquery())
