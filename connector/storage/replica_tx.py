"""What a transaction does where several replicas of a node share a database; `replicas` says how they work together."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from typing_extensions import override

from connector.exchange.ports import Commit
from connector.exchange.records import Outgoing
from connector.protocol.errors import Conflict, Invalid
from connector.storage import codec, tables
from connector.storage.codec import Values
from connector.storage.connection import Connection
from connector.storage.tx import StoreTx

LONGEST_NOTE: Final = 7900
"""Bytes of a notification; PostgreSQL takes less than 8000."""
CHANNEL: Final = "'connector_' || md5(current_schema())"
_REMEMBER: Final = "INSERT INTO used_token (id, due_at) VALUES (%(key)s, %(due)s) ON CONFLICT DO NOTHING"
_FORGET: Final = (
    "DELETE FROM used_token WHERE id IN"
    " (SELECT id FROM used_token WHERE due_at < %(now)s FOR UPDATE SKIP LOCKED)"  # another replica does the same
)


class ReplicaTx(StoreTx):
    """Transactions of one replica among others; `join` comes first."""

    me: int

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.me = 0
        self._swept_s = 0
        self._send = connection.sql.get("send", _into_lane)
        self._take_over = [
            connection.sql.get(("take over", table.name), partial(_take_over, table))
            for table in (tables.outbox, tables.timer)
        ]
        others = exists().where(tables.replica.c.id != bindparam("me", type_=BigInteger))
        self._tell_others = connection.sql.get(
            "tell others",
            lambda: select(func.pg_notify(literal_column(CHANNEL), bindparam("note", type_=Text()))).where(others),
        )
        self._given = connection.sql.get("given message", _given)

    @override
    def send(self, message: Outgoing) -> None:
        values = codec.OUTGOING.write(message) | {"of_topic": message.topic, "me": self.me}
        row = self._connection.change_and_read(f"{self._send} ON CONFLICT DO NOTHING RETURNING owner", values)
        if not row:
            raise Conflict(f"Outgoing {message.id} exists already", "/@id", message.id)
        promised = self._messages if row[0][0] == self.me else self._elsewhere
        promised[message.id] = message

    @override
    def take_up(self) -> None:
        for text in self._take_over:
            self._connection.change(text, {"me": self.me})
        super().take_up()

    @override
    def hand_over(self, messages: Sequence[str]) -> None:
        owners: dict[int, list[str]] = {}
        for ident in messages:
            row = self._connection.row("SELECT owner FROM outbox WHERE id = %(id)s AND NOT dead", {"id": ident})
            if row is not None and row[0] not in {self.me, None}:
                owners.setdefault(row[0], []).append(ident)
        for owner, given in owners.items():
            self._tell({"to": owner}, {"given": given})

    def receive(self, messages: Sequence[str]) -> None:
        """Take messages that another replica has handed over, after those that come before them in their lanes."""
        for ident in messages:
            for row in self._connection.rows(self._given, {"me": self.me, "id": ident}):
                message = codec.OUTGOING.read(row)
                self._messages[message.id] = message

    def join(self, number: int) -> None:
        """Go on under this number, with all that was ours and all that is nobody's."""
        self._connection.change("DELETE FROM replica WHERE id = %(me)s", {"me": self.me})
        self.me = number
        self._connection.change("INSERT INTO replica (id) VALUES (%(me)s)", {"me": number})
        self._tell({}, {"replicas": [number]})
        self.take_up()

    def leave(self) -> None:
        """Give everything back; whoever watches us takes it as soon as our lock is free."""
        self._connection.change("DELETE FROM replica WHERE id = %(me)s", {"me": self.me})

    def replace(self, gone: int) -> None:
        """Do from now on what a replica has left that is gone; the others look whether it had something for them."""
        if self._connection.change("DELETE FROM replica WHERE id = %(gone)s", {"gone": gone}):
            self._tell({"left": True}, {"replicas": [gone]})
        self.take_up()

    def belong(self, did: str, kid: str) -> None:
        """Raise Invalid unless this database is of the node `did`, or of nobody yet, and that node signs with `kid`."""
        ours = {"id": did, "key": kid}
        if row := self._connection.row("SELECT id, key FROM node"):
            _same_node(row[0], row[1], did, kid)
        else:
            self._connection.change("INSERT INTO node (id, key) VALUES (%(id)s, %(key)s)", ours)

    def use_token(self, key: str, due_s: int, now_s: int) -> bool:
        """Remember a token until `due_s`; False if it is remembered already. Seconds."""
        if now_s != self._swept_s:
            self._swept_s = now_s
            self._connection.change(_FORGET, {"now": now_s})
        return self._connection.change(_REMEMBER, {"key": key, "due": due_s}) == 1

    @override
    def before_commit(self, commits: Sequence[Commit]) -> None:
        events = [event.record.id for commit in commits for event in commit.events]
        sent = [m.topic for commit in commits for m in (*commit.messages, *commit.elsewhere) if m.kind == "transfer"]
        dropped = [topic for commit in commits for topic in commit.dropped]
        self._tell({}, {"changed": list(dict.fromkeys((*events, *sent))), "dropped": list(dict.fromkeys(dropped))})

    def _tell(self, head: dict[str, Any], lists: dict[str, list[Any]]) -> None:
        """Notify the other replicas with this commit."""
        for note in _notes({"by": self.me, **head}, lists):
            self._connection.rows(self._tell_others, {"note": note, "me": self.me})


def _into_lane() -> Insert:
    """A message, for the replica that has undelivered ones of its topic; else for us."""
    lane = tables.outbox.alias("lane")
    there = lane.c.owner.in_(select(tables.replica.c.id))
    busy = lane.c.topic == bindparam("of_topic"), lane.c.dead == false(), there
    runs = select(lane.c.owner).where(*busy).limit(literal_column("1")).scalar_subquery()
    values: Values = {name: bindparam(name) for name in codec.OUTGOING.columns}
    owner = func.coalesce(runs, bindparam("me", type_=BigInteger))
    return insert(tables.outbox).values({**values, "owner": owner}).inline()


def _given() -> Select[Any]:
    """All of a message's lane: two replicas may hand over in another order than they have committed in."""
    outbox, given = tables.outbox, tables.outbox.alias("given")
    lane = select(given.c.topic).where(given.c.id == bindparam("id")).scalar_subquery()
    ours = outbox.c.topic == lane, outbox.c.owner == bindparam("me"), outbox.c.dead == false()
    columns = (outbox.c[name] for name in codec.OUTGOING.columns)
    return select(*columns).where(*ours).order_by(outbox.c.created_at, outbox.c.id)


def _take_over(table: Table) -> Update:
    living = select(tables.replica.c.id)
    nobodys = select(table.c.id).where(or_(table.c.owner.is_(None), table.c.owner.not_in(living)))
    if table is tables.outbox:
        nobodys = nobodys.where(table.c.dead == false())
    taken = table.c.id.in_(nobodys.with_for_update(skip_locked=True))
    return update(table).where(taken).values(owner=bindparam("me", type_=BigInteger))


def _same_node(did: str, kid: str, our_did: str, our_kid: str) -> None:
    if did != our_did:
        raise Invalid(f"the database belongs to the node {did}: give {our_did} a database of its own", "/store/url")
    if kid != our_kid:
        raise Invalid(
            f"the node of this database signs with the key {kid}, this replica would with {our_kid}: give it the same"
            " key file (node.key); if the node is to have a new key, stop all replicas and run"
            " `connector db migrate --new-key`",
            "/node/key",
        )


def _notes(head: dict[str, Any], lists: dict[str, list[Any]]) -> Iterator[str]:
    """The entries of `lists` in as few notifications as they fit into."""
    part: dict[str, list[Any]] = {}
    room = LONGEST_NOTE
    for name, entries in lists.items():
        for entry in entries:
            size = len(orjson.dumps(entry)) + len(name) + 8
            if part and size > room - 100:
                yield orjson.dumps(head | part).decode()
                part, room = {}, LONGEST_NOTE
            part.setdefault(name, []).append(entry)
            room -= size
    if part:
        yield orjson.dumps(head | part).decode()
