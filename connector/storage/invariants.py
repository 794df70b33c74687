"""What must be true of the tables between any two transactions; read only, one line for each thing that is not.

The use cases keep these by themselves. What breaks them is a database that was edited, restored in part, or written by
a faulty version, and each leaves something behind that nobody would ever come back to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import text
from typing_extensions import override

from connector.exchange import states
from connector.exchange.transfer_moves import PUSH
from connector.storage.connection import Connection

LATE_MS: Final = 60_000
"""A timer that is due for longer has not rung at a node that runs."""
_VALUES: Final[Mapping[str, Any]] = {
    "push": PUSH,
    "final": states.NEGOTIATION["FINALIZED"],
    "broken_off": states.NEGOTIATION["TERMINATED"],
    "completed": states.TRANSFER["COMPLETED"],
    "terminated": states.TRANSFER["TERMINATED"],
}
_RULES: Final[Mapping[tuple[str, str], str]] = {
    ("outbox", "it belongs to no process"): """
        SELECT id FROM outbox WHERE kind IN ('negotiation', 'transfer', 'push')
        AND replace(topic, :push, '') NOT IN (SELECT id FROM negotiation UNION ALL SELECT id FROM transfer)
    """,
    ("timer", "it belongs to no process"): """
        SELECT id FROM timer WHERE subject NOT IN
        (SELECT id FROM negotiation UNION ALL SELECT id FROM transfer UNION ALL SELECT id FROM credential)
    """,
    ("outbox", "there is no request for credentials that it is about"): """
        SELECT id FROM outbox WHERE kind = 'credential' AND topic NOT IN (SELECT id FROM credential_request)
    """,
    ("agreement", "there is no negotiation that has led to it"): """
        SELECT id FROM agreement WHERE negotiation_id NOT IN (SELECT id FROM negotiation)
    """,
    ("negotiation", "it is final, but there is no agreement"): """
        SELECT id FROM negotiation WHERE state = :final
        AND (agreement_id IS NULL OR agreement_id NOT IN (SELECT id FROM agreement))
    """,
    ("transfer", "there is no agreement that it is under"): """
        SELECT id FROM transfer WHERE agreement_id NOT IN (SELECT id FROM agreement)
    """,
    ("access_grant", "it opens a transfer that has ended, or that never was"): """
        SELECT id FROM access_grant
        WHERE id NOT IN (SELECT id FROM transfer WHERE state NOT IN (:completed, :terminated))
    """,
    ("edr", "it opens a transfer that has ended, or that never was"): """
        SELECT id FROM edr WHERE id NOT IN (SELECT id FROM transfer WHERE state NOT IN (:completed, :terminated))
    """,
}
"""By table and what is wrong: the ids for which it is."""
_WHILE_RUNNING: Final[Mapping[tuple[str, str], str]] = {
    ("timer", "it should have rung more than a minute ago"): "SELECT id FROM timer WHERE due_at < :late",
    ("timer", "no replica takes care of it"): """
        SELECT id FROM timer WHERE owner IS NOT NULL AND owner NOT IN (SELECT id FROM replica)
    """,
    ("outbox", "no replica takes care of it"): """
        SELECT id FROM outbox WHERE dead IS FALSE AND owner IS NOT NULL AND owner NOT IN (SELECT id FROM replica)
    """,
}
_UNDECIDED: Final[Mapping[str, str]] = {
    "negotiation": "SELECT id, doc FROM negotiation WHERE state NOT IN (:final, :broken_off)",
    "transfer": "SELECT id, doc FROM transfer WHERE state NOT IN (:completed, :terminated)",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be: a table, a row's id ("" if it is the table itself), and what is wrong."""

    table: str
    id: str
    what: str

    @override
    def __str__(self) -> str:
        return f"{self.table} {self.id}: {self.what}" if self.id else f"{self.table}: {self.what}"


def findings(connection: Connection, *, running: bool, now: int) -> Iterator[Finding]:
    """Everything that is wrong. running: whether a node works on the database; `now` in ms."""
    values = {**_VALUES, "late": now - LATE_MS}
    rules = {**_RULES, **_WHILE_RUNNING} if running else _RULES
    for (table, what), rule in rules.items():
        for (ident,) in connection.rows(connection.sql.get(rule, partial(text, rule)), values):
            yield Finding(table, str(ident), what)
    promised = {ident for (ident,) in connection.rows("SELECT id FROM outbox")}
    for table, rule in _UNDECIDED.items():
        for ident, doc in connection.rows(connection.sql.get(rule, partial(text, rule)), values):
            pending = orjson.loads(doc)["pending"]
            if pending is not None and pending[1] not in promised:
                yield Finding(table, str(ident), f"it waits for the answer to {pending[0]}, which nobody sends")
