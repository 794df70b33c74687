"""Twins, and by what each can be found by whom (`twins.visibility.links`), as rows of an index.

A search walks the rows of its reader and sees nobody else's, so its cost follows what the reader may find; a page goes
on behind the id it ended with, which holds however many twins come and go meanwhile. Links are looked up exactly, so
their digest stands in the index: a value may be longer than a database takes for a key.

Rules have no rows: a rule would have as many as there are twins, and each change of it would rewrite them. Who has
rules walks, for each, the owner's rows of the rarest id that it demands; the database looks whether the others are
there.
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
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
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
from connector.twins.rules import MAX_MANDATORY
from connector.twins.shell import AssetLink, RegisteredShell
from connector.twins.visibility import LISTED, OWNER, OWNER_SUBJECT, Reader, links

_ZERO: Final[ColumnElement[int]] = literal_column("0", BigInteger())  # for SQLite a LIMIT needs an OFFSET
_ONE: Final[ColumnElement[int]] = literal_column("1", BigInteger())
_OWNER: Final[ColumnElement[str]] = literal_column(f"'{OWNER_SUBJECT}'", tables.TEXT)
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
        rarest = sorted(dict.fromkeys(wanted) or [LISTED], key=lambda w: self._rows_with(reader.subjects, _digest(w)))
        asked = _Search(reader, rarest, after, limit)
        found: set[str] = set()
        for subject in reader.subjects:
            found.update(self._walked(asked, subject, asked.digests[0]))
        for number, rule in enumerate(reader.rules):
            lead = min(map(_digest, rule.mandatory), key=partial(self._rows_with, OWNER.subjects))
            found.update(self._walked(asked, OWNER_SUBJECT, lead, rule=number))
        return list(self.get_many(sorted(found)[:limit]).values())

    def _walked(self, asked: "_Search", subject: str, lead: str, rule: int | None = None) -> list[str]:
        """The first twins behind the lead row that the whole search finds; with a rule, of those it applies to."""
        shape = ("twins", len(asked.subjects), len(asked.digests), len(asked.rules), rule)
        text = self._connection.sql.get(shape, lambda: _walk(asked, rule))
        return [ident for (ident,) in self._connection.rows(text, asked.params | {"subject": subject, "lead": lead})]

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


class _Search:
    """What is looked for by whom, as parameters of `_walk`: few shapes of it exist, lists are filled by repetition."""

    def __init__(self, reader: Reader, wanted: Sequence[AssetLink], after: str, limit: int) -> None:
        self.digests = [_digest(link) for link in wanted]
        self.subjects = _filled(reader.subjects)
        self.rules = _filled(reader.rules)
        self.params: dict[str, Any] = {"after": after, "page_limit": limit}
        self.params |= {f"s{i}": subject for i, subject in enumerate(self.subjects)}
        self.params |= {f"l{i}": digest for i, digest in enumerate(self.digests)}
        for r, rule in enumerate(self.rules):
            needed = list(map(_digest, rule.mandatory))
            self.params |= {f"r{r}_{i}": needed[min(i, len(needed) - 1)] for i in range(MAX_MANDATORY)}
            self.params[f"r{r}_all"] = len(needed)
            self.params |= {f"o{r}_{i}": int(rule.opens(link)) for i, link in enumerate(wanted)}


def _filled(some: Sequence[T]) -> list[T]:
    """Filled up to a power of two."""
    size = 1 << (len(some) - 1).bit_length() if some else 0
    return [some[min(i, len(some) - 1)] for i in range(size)]


def _walk(asked: _Search, rule: int | None) -> Select[str]:
    """The twins behind one subject's rows of the lead link, in order, in which this reader sees all links wanted.

    rule: the number of one that has to apply to them; without, the lead is the first of the links.
    """
    lead = tables.twin_link
    conditions = [_visible(i, asked) for i in range(1 if rule is None else 0, len(asked.digests))]
    if rule is not None:
        conditions.append(_applies(rule))
    return (
        select(lead.c.twin)
        .where(lead.c.subject == bindparam("subject"), lead.c.link == bindparam("lead"), *conditions)
        .where(lead.c.twin > bindparam("after"))
        .order_by(lead.c.twin)
        .limit(bindparam("page_limit"))
        .offset(_ZERO)
    )


def _visible(number: int, asked: _Search) -> ColumnElement[bool]:
    """Whether the twin has a link for one of the subjects, or has it and a rule that applies opens it."""
    row = tables.twin_link.alias("other")
    here = row.c.twin == tables.twin_link.c.twin, row.c.link == bindparam(f"l{number}")
    names: list[BindParameter[str]] = [bindparam(f"s{i}") for i in range(len(asked.subjects))]
    by_name = exists().where(*here, row.c.subject.in_(names))
    if not asked.rules:
        return by_name
    by_rule = [and_(bindparam(f"o{r}_{number}") == _ONE, _applies(r)) for r in range(len(asked.rules))]
    return or_(by_name, and_(exists().where(*here, row.c.subject == _OWNER), or_(*by_rule)))


def _applies(rule: int) -> ColumnElement[bool]:
    """Whether the twin has all that a rule demands."""
    row = tables.twin_link.alias("needed")
    needed: list[BindParameter[str]] = [bindparam(f"r{rule}_{i}") for i in range(MAX_MANDATORY)]
    there = select(func.count()).where(
        row.c.twin == tables.twin_link.c.twin, row.c.subject == _OWNER, row.c.link.in_(needed)
    )
    return there.scalar_subquery() == bindparam(f"r{rule}_all")


def _count() -> Select[int]:
    row = tables.twin_link
    some: Select[str] = (
        select(row.c.twin)
        .where(row.c.subject == bindparam("subject"), row.c.link == bindparam("l0"))
        .limit(bindparam("page_limit"))
        .offset(_ZERO)
    )
    return select(func.count()).select_from(some.subquery())
