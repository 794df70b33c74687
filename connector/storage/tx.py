"""One transaction as the use cases see it: the repositories, and what is promised for after the commit."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, delete, false, select
from typing_extensions import override

from connector.exchange.ports import Commit, Tx
from connector.exchange.records import Happened, Outgoing, Timer
from connector.storage import codec, fields, tables
from connector.storage.codec import Codec
from connector.storage.connection import Connection
from connector.storage.offers import MaterialisedOffers
from connector.storage.repositories import AssetRepository, ProcessTableRepository, TableRepository
from connector.storage.twins import TwinTableRepository


class StoreTx(Tx):
    """The transactions of one connection, one after another; `taken` ends one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.assets = AssetRepository(connection)
        self.policies = TableRepository(connection, codec.POLICY, fields.POLICY)
        self.definitions = TableRepository(connection, codec.DEFINITION, fields.DEFINITION)
        self.negotiations = ProcessTableRepository(connection, codec.NEGOTIATION, fields.NEGOTIATION)
        self.agreements = TableRepository(connection, codec.AGREEMENT, fields.AGREEMENT)
        self.transfers = ProcessTableRepository(connection, codec.TRANSFER, fields.TRANSFER)
        self.partners = TableRepository(connection, codec.PARTNER, fields.PARTNER)
        self.edrs = TableRepository(connection, codec.EDR, fields.EDR)
        self.grants = TableRepository(connection, codec.GRANT, fields.GRANT)
        self.secrets = TableRepository(connection, codec.SECRET, fields.SECRET)
        self.payloads = TableRepository(connection, codec.PAYLOAD, fields.PAYLOAD)
        self.credentials = TableRepository(connection, codec.CREDENTIAL, fields.CREDENTIAL)
        self.credential_requests = TableRepository(connection, codec.CREDENTIAL_REQUEST, fields.CREDENTIAL_REQUEST)
        self.shown = TableRepository(connection, codec.SHOWN, fields.SHOWN)
        self.passports = TableRepository(connection, codec.PASSPORT_VERSION, fields.PASSPORT_VERSION)
        self.twins = TwinTableRepository(connection)
        self.rules = TableRepository(connection, codec.RULE, fields.RULE)
        self.outbox = TableRepository(connection, codec.OUTGOING, fields.OUTGOING)
        self.timers = TableRepository(connection, codec.TIMER, fields.TIMER)
        self.offers = MaterialisedOffers(connection)
        self._dropped: dict[str, None] = {}
        self._events: list[Happened] = []
        self._messages: dict[str, Outgoing] = {}
        self._elsewhere: dict[str, Outgoing] = {}
        self._timers: dict[str, Timer] = {}
        self._complete = False
        self.me: int | None = None
        """The number of this replica; None where a database has one process."""
        sql, timer, outbox = connection.sql, tables.timer, tables.outbox
        of_topic = outbox.c.topic == bindparam("topic")
        self._drop_messages = sql.get("drop messages", lambda: delete(outbox).where(of_topic))
        self._drop_timers = sql.get("drop timers", lambda: delete(timer).where(timer.c.subject == bindparam("subject")))
        self._set_timer = sql.get("set timer", timer.insert) + (
            " ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, kind = excluded.kind,"
            " subject = excluded.subject, detail = excluded.detail, owner = excluded.owner"
        )
        self._all_messages = sql.get("all messages", _all_messages)
        self._all_timers = sql.get("all timers", lambda: _of_us(codec.TIMER))

    @override
    def send(self, message: Outgoing) -> None:
        self.outbox.add(message)
        self._messages[message.id] = message

    @override
    def drop_messages(self, topic: str) -> None:
        self._connection.change(self._drop_messages, {"topic": topic})
        for promised in (self._messages, self._elsewhere):
            for message in [m for m in promised.values() if m.topic == topic]:
                del promised[message.id]
        self._dropped[topic] = None

    @override
    def set_timer(self, timer: Timer) -> None:
        self._connection.change(self._set_timer, codec.TIMER.write(timer) | {"owner": self.me})
        self._timers[timer.id] = timer

    @override
    def drop_timers(self, subject: str) -> None:
        self._connection.change(self._drop_timers, {"subject": subject})
        self._timers = {t.id: t for t in self._timers.values() if t.subject != subject}

    @override
    def emit(self, event: Happened) -> None:
        self._events.append(event)

    def signs_with(self, did: str, kid: str) -> str | None:
        """Remember that the node `did` signs with `kid`; the key that it signed with before, None if with this one."""
        node, sql = tables.node, self._connection.sql
        before = self._connection.row(sql.get("signed with", lambda: select(node.c.id, node.c.key)))
        if before == (did, kid):
            return None
        self._connection.change(sql.get("forget key", lambda: delete(node)))
        self._connection.change(sql.get("sign with", node.insert), {"id": did, "key": kid})
        return str(before[1]) if before is not None and before[0] == did else None

    @override
    def take_up(self) -> None:
        params = {"me": self.me}
        self._messages = {m.id: m for m in map(codec.OUTGOING.read, self._connection.rows(self._all_messages, params))}
        self._timers = {t.id: t for t in map(codec.TIMER.read, self._connection.rows(self._all_timers, params))}
        self._complete = True

    @override
    def hand_over(self, messages: Sequence[str]) -> None:
        """There is nobody to hand anything over to."""

    def before_commit(self, commits: Sequence[Commit]) -> None:
        """Do what the commit of these transactions needs at their end. Nothing, where a database has one process."""

    def taken(self) -> Commit | None:
        """What the transaction that ends here promised or told, None if nothing; the next one begins empty."""
        promised = self._dropped or self._events or self._messages or self._elsewhere or self._timers
        if not (promised or self._complete):
            return None
        commit = Commit(
            dropped=tuple(self._dropped),
            events=tuple(self._events),
            messages=tuple(self._messages.values()),
            elsewhere=tuple(self._elsewhere.values()),
            timers=tuple(self._timers.values()),
            complete=self._complete,
        )
        self._dropped, self._events, self._messages, self._elsewhere, self._timers = {}, [], {}, {}, {}
        self._complete = False
        return commit


def _of_us(kind: Codec[Any]) -> Select[Any]:
    """The records that this process takes care of."""
    table = kind.table
    ours = table.c.owner.is_not_distinct_from(bindparam("me", type_=BigInteger))
    return select(*(table.c[name] for name in kind.columns)).where(ours)


def _all_messages() -> Select[Any]:
    outbox = tables.outbox
    return _of_us(codec.OUTGOING).where(outbox.c.dead == false()).order_by(outbox.c.created_at, outbox.c.id)
