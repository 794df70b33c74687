"""One transaction as the use cases see it: the repositories, and what is promised for after the commit."""

from sqlalchemy import bindparam, delete
from typing_extensions import override

from connector.exchange.ports import Commit, Tx
from connector.exchange.records import Happened, Outgoing, Timer
from connector.storage import codec, fields, tables
from connector.storage.connection import Connection
from connector.storage.offers import MaterialisedOffers
from connector.storage.repositories import AssetRepository, ProcessTableRepository, TableRepository


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
        self.edrs = TableRepository(connection, codec.EDR, fields.EDR)
        self.grants = TableRepository(connection, codec.GRANT, fields.GRANT)
        self.secrets = TableRepository(connection, codec.SECRET, fields.SECRET)
        self.payloads = TableRepository(connection, codec.PAYLOAD, fields.PAYLOAD)
        self.outbox = TableRepository(connection, codec.OUTGOING, fields.OUTGOING)
        self.timers = TableRepository(connection, codec.TIMER, fields.TIMER)
        self.offers = MaterialisedOffers(connection)
        self._dropped: dict[str, None] = {}
        self._events: list[Happened] = []
        self._messages: dict[str, Outgoing] = {}
        self._timers: dict[str, Timer] = {}
        sql, timer, outbox = connection.sql, tables.timer, tables.outbox
        self._drop_messages = sql.get(
            "drop messages", lambda: delete(outbox).where(outbox.c.topic == bindparam("topic"))
        )
        self._drop_timers = sql.get("drop timers", lambda: delete(timer).where(timer.c.subject == bindparam("subject")))
        self._set_timer = sql.get("set timer", timer.insert) + (
            " ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, kind = excluded.kind,"
            " subject = excluded.subject, detail = excluded.detail"
        )

    @override
    def send(self, message: Outgoing) -> None:
        self.outbox.add(message)
        self._messages[message.id] = message

    @override
    def drop_messages(self, topic: str) -> None:
        self._connection.change(self._drop_messages, {"topic": topic})
        self._messages = {m.id: m for m in self._messages.values() if m.topic != topic}
        self._dropped[topic] = None

    @override
    def set_timer(self, timer: Timer) -> None:
        self._connection.change(self._set_timer, codec.TIMER.write(timer))
        self._timers[timer.id] = timer

    @override
    def drop_timers(self, subject: str) -> None:
        self._connection.change(self._drop_timers, {"subject": subject})
        self._timers = {t.id: t for t in self._timers.values() if t.subject != subject}

    @override
    def emit(self, event: Happened) -> None:
        self._events.append(event)

    def taken(self) -> Commit | None:
        """What the transaction that ends here promised or told, None if nothing; the next one begins empty."""
        if not (self._dropped or self._events or self._messages or self._timers):
            return None
        commit = Commit(
            dropped=tuple(self._dropped),
            events=tuple(self._events),
            messages=tuple(self._messages.values()),
            timers=tuple(self._timers.values()),
        )
        self._dropped, self._events, self._messages, self._timers = {}, [], {}, {}
        return commit
