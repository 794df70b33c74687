"""Twins, and by what each can be found by whom (`twins.visibility.links`), as rows of an index.

A search walks the rows of its reader and sees nobody else's, so its cost follows what the reader may find; a page goes
on behind the id it ended with, which holds however many twins come and go meanwhile. Links are looked up exactly, so
their digest stands in the index: a value may be longer than a database takes for a key.

Rules have no rows: a rule would have as many as there are twins, and each change of it would rewrite them. Who has
rules walks, for each, the owner's rows of the rarest id that it demands or that is looked for; the database looks
whether the others are there, and `visibility` whether the reader sees what it looked for.
"""

import hashlib
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final, TypeVar

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
from connector.policy.partner import IN_GROUP
from connector.storage import tables
from connector.storage.codec import TWIN
from connector.storage.connection import Connection
from connector.storage.fields import TWIN as TWIN_FIELDS
from connector.storage.offers import audiences_of
from connector.storage.repositories import TableRepository
from connector.twins.rules import AccessRule
from connector.twins.shell import AssetLink, RegisteredShell
from connector.twins.visibility import LISTED, OWNER, OWNER_SUBJECT, Reader, finds, links

_ZERO: Final[ColumnElement[int]] = literal_column("0", BigInteger())  # for SQLite a LIMIT needs an OFFSET
SHORT: Final = 1000
"""How far the rows of a link are counted to find the rarest; beyond, all are common."""
_NOBODY: Final = IN_GROUP
"""The audience of a policy that nobody can satisfy: no group is without a name."""
T = TypeVar("T")


class TwinTableRepository(TableRepository[RegisteredShell], TwinRepository):
    """Twins, with the index of their links."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection, TWIN, TWIN_FIELDS)
        row = tables.twin_link
        self._put = connection.sql.get("insert twin link", lambda: insert(row))
        self._clear = connection.sql.get("delete twin links", lambda: delete(row).where(row.c.twin == bindparam("of")))
        known = tables.twin_policy
        by_policy = known.c.policy == bindparam("of")
        self._guard = connection.sql.get("insert twin policy", lambda: insert(known))
        self._unguard = connection.sql.get("delete twin policy", lambda: delete(known).where(by_policy))
        self._guarded = connection.sql.get("find twin policy", lambda: select(known.c.policy).where(by_policy))
        self._policies_of = connection.sql.get(
            "policies of twins", lambda: select(known.c.policy).where(known.c.member == bindparam("member"))
        )

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
        rows = [{"subject": s, "link": _digest(link), "twin": record.id} for s, link in links(record)]
        self._connection.change_each(self._put, rows)

    @override
    def search(
        self, reader: Reader, wanted: Sequence[AssetLink], *, after: str = "", limit: int
    ) -> list[RegisteredShell]:
        links_wanted = tuple(dict.fromkeys(wanted)) or (LISTED,)
        counts = {_digest(link): self._rows_with(reader.subjects, _digest(link)) for link in links_wanted}
        found: set[str] = set()
        if all(counts.values()):
            found.update(self._by_subjects(reader.subjects, sorted(counts, key=counts.__getitem__), after, limit))
        if all(counts[_digest(link)] or any(rule.opens(link) for rule in reader.rules) for link in links_wanted):
            for rule in reader.rules:
                found.update(self._by_rule(reader, rule, links_wanted, after, limit))
        return list(self.get_many(sorted(found)[:limit]).values())

    def _by_subjects(self, subjects: Sequence[str], digests: Sequence[str], after: str, limit: int) -> set[str]:
        """The first twins that have all links for one or the other of these subjects; the rarest link leads."""
        among = _filled(subjects)
        text = self._connection.sql.get(
            ("twins", len(among), len(digests)), lambda: _walk(len(digests), [f"s{i}" for i in range(len(among))])
        )
        params: dict[str, Any] = {f"l{i}": digest for i, digest in enumerate(digests)}
        params |= {f"s{i}": subject for i, subject in enumerate(among)} | {"after": after, "page_limit": limit}
        return {ident for s in subjects for (ident,) in self._connection.rows(text, params | {"subject": s})}

    def _by_rule(
        self, reader: Reader, rule: AccessRule, wanted: Sequence[AssetLink], after: str, limit: int
    ) -> set[str]:
        """The first twins that a rule applies to and in which its reader, by whatever way, sees all links."""
        there = [_digest(link) for link in dict.fromkeys((*rule.mandatory, *wanted))]
        digests = _filled(sorted(there, key=partial(self._rows_with, OWNER.subjects)))
        text = self._connection.sql.get(("twins", 1, len(digests)), lambda: _walk(len(digests), ["s0"]))
        params: dict[str, Any] = {f"l{i}": digest for i, digest in enumerate(digests)}
        params |= {"subject": OWNER_SUBJECT, "s0": OWNER_SUBJECT, "page_limit": limit}
        found: set[str] = set()
        while True:
            idents = [ident for (ident,) in self._connection.rows(text, params | {"after": after})]
            found.update(kept.id for kept in self.get_many(idents).values() if finds(kept, reader, wanted))
            if len(idents) < limit or len(found) >= limit:
                return found
            after = idents[-1]

    def _rows_with(self, subjects: Sequence[str], digest: str) -> int:
        """How many rows a link has for a reader, counted up to a bound."""
        text = self._connection.sql.get("count twin links", _count)
        counted = 0
        for subject in subjects:
            row = self._connection.row(text, {"subject": subject, "l0": digest, "page_limit": SHORT})
            counted += int(row[0]) if row else 0
        return counted

    @override
    def guard(self, policy_id: str, audience: frozenset[str] | None) -> None:
        self._connection.change(self._unguard, {"of": policy_id})
        members = [tables.ANYONE] if audience is None else sorted(audience) or [_NOBODY]
        self._connection.change_each(self._guard, [{"member": m, "policy": policy_id} for m in members])

    @override
    def guards(self, policy_id: str) -> bool:
        return self._connection.row(self._guarded, {"of": policy_id}) is not None

    @override
    def policies_for(self, bpn: str | None, groups: Collection[str]) -> list[str]:
        found: dict[str, None] = {}
        for member in audiences_of(bpn, groups):
            found |= {policy: None for (policy,) in self._connection.rows(self._policies_of, {"member": member})}
        return list(found)


def _digest(link: AssetLink) -> str:
    return hashlib.sha256(f"{link.name}\n{link.value}".encode()).hexdigest()


def _filled(some: Sequence[T]) -> list[T]:
    """Filled up to a power of two."""
    size = 1 << (len(some) - 1).bit_length() if some else 0
    return [some[min(i, len(some) - 1)] for i in range(size)]


def _walk(digests: int, subjects: Sequence[str]) -> Select[str]:
    """The twins of one subject with the first link, in order, that have the others too, for any of the subjects."""
    lead, other = tables.twin_link, tables.twin_link.alias("other")
    names: list[BindParameter[str]] = [bindparam(name) for name in subjects]
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
