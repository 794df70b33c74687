"""Several replicas of one node on one PostgreSQL database: who does what, and how one learns that another is gone.

**One writes at a time.** A write transaction first takes a lock that all replicas share and keeps it to its commit. The
use cases were written for one writer, as SQLite has it: they count before they delete, look before they add, index
assets and definitions against each other. With the lock all that stays true; nothing is lost, doubled or deadlocked,
the one who comes second waits and sees what the first has done. It costs less than it seems: a commit with a NOTIFY
takes a server-wide lock anyway, up to 32 transactions share a commit, reading needs no lock, and what is dear in an
exchange (HTTP, JSON, signatures) runs beside it. Locks on single rows would deadlock between such batches, and
serialisable transactions abort each other on the shared pages of small tables. Replicas are for availability and for
that other work; they do not multiply what one server can commit. A replica that stalls in a transaction is cut off.

**Who sends what.** A message belongs to the replica that has committed it, except that a lane (topic) with undelivered
messages stays with the replica that runs it: order within an exchange, and no message with two. The other one gets word
when the message may leave. Timers belong to whoever set them last; which of two rings is settled in the transaction.

**Who is there.** A replica draws a number, locks it in a session of its own, and enters it into `replica`. To notice
the end of another one, it asks for that one's lock and waits: the server hands it over in the moment the session ends,
however it ended, and until then nobody asks anything. Each watches the next higher number, the highest the lowest, so
one waiting session per replica covers all of them. Who gets the lock takes over: all that has no living owner becomes
its own, in one statement. That skips rows which somebody else has locked (SKIP LOCKED: an operator's forgotten session
must not hold up everything while we have the writer's lock); they are taken with the next take-over or start.

**What the others are told** comes by NOTIFY with the commit: whose records have changed (for `?wait=` and the data
plane), which lanes were taken back, who came and went. A replica that is alone notifies nobody.

A replica whose session ends, or who cannot be sure of what it has committed, begins anew under a new number. Others may
send its messages from then on, also one that is on its way in this moment: peers know a repeat by its `@id`.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import orjson
import psycopg
import structlog
from psycopg.pq import ExecStatus
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

log = structlog.get_logger()
T = TypeVar("T")
Database = psycopg.Connection[tuple[Any, ...]]
LONGEST_NOTE: Final = 7900
"""Bytes of a notification; PostgreSQL takes less than 8000."""
REWATCH_S: Final = 60.0
"""A statement that waits keeps the server from clearing away what is deleted since it began. So it is begun anew when
something is committed this long after; in a database where nothing happens there is nothing to clear away."""
PAUSES_S: Final = (0.05, 0.2, 1.0, 5.0)
"""Between attempts to reach a server that is gone; the last one is repeated."""
CHANNEL: Final = "'connector_' || md5(current_schema())"
_LOCK: Final = "hashtextextended(current_schema() || '/connector/' || {}, 0)"
WRITER: Final = _LOCK.format("'writer'")
TABLES: Final = _LOCK.format("'tables'")
"""Held shared by every replica, and alone by whoever changes the tables."""
_REMEMBER: Final = "INSERT INTO used_token (id, due_at) VALUES (%(key)s, %(due)s) ON CONFLICT DO NOTHING"
_FORGET: Final = (
    "DELETE FROM used_token WHERE id IN"
    " (SELECT id FROM used_token WHERE due_at < %(now)s FOR UPDATE SKIP LOCKED)"  # another replica does the same
)
_NEIGHBOUR: Final = "SELECT id FROM replica WHERE id <> %(me)s ORDER BY id < %(me)s, id LIMIT 1"


def lock_of(replica: int) -> str:
    """The key of the lock that a living replica holds, as SQL."""
    return _LOCK.format(f"'replica/{replica}'")


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


class Replica:
    """This process among the replicas: is there, hears of the others, watches one of them.

    connect: opens a session that holds the lock of the tables. run: runs a transaction of the store. tell: tells the
    store's listeners what others have committed. All of it happens in the event loop; nothing is asked twice.
    """

    def __init__(
        self,
        connect: Callable[[], Database],
        run: Callable[[Callable[[Any], None]], Awaitable[None]],
        tell: Callable[[Commit], None],
    ) -> None:
        self._connect = connect
        self._run = run
        self._tell = tell
        self._number = 0
        self._sessions: list[Database] = []
        self._others_changed = asyncio.Event()
        self._watching_since = 0.0
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be there. Raise what the first attempt raises; later ones are repeated until they succeed."""
        await self._join()
        self._life = asyncio.create_task(self._live(), name="replica")

    def doubt(self) -> None:
        """It is not known what was committed: begin anew."""
        if not self._lost.done():
            self._lost.set_result(None)

    async def close(self) -> None:
        """Be gone; whatever is left to do is for others, or for the next start."""
        for task in [*([self._life] if self._life else []), *self._tasks]:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        with contextlib.suppress(Exception):  # a server that is gone knows it already
            await self._run(lambda tx: tx.leave())

    def disconnect(self) -> None:
        """Let go of the lock, when the last transaction is over."""
        for session in self._sessions:
            session.close()
        self._sessions = []

    async def _join(self) -> None:
        number = secrets.randbits(62) + 1
        self._lost = asyncio.get_running_loop().create_future()
        await _in_thread(self._open, number)
        self._number = number
        try:
            await self._run(lambda tx: tx.join(number))
        except BaseException:
            self.disconnect()
            raise

    def _open(self, number: int) -> None:
        """The session that is there, which hears, and the one that watches."""
        try:
            self._sessions.append(there := self._connect())
            there.execute(f"SELECT pg_advisory_lock({lock_of(number)})".encode())
            row = there.execute(f"SELECT {CHANNEL}".encode()).fetchone()
            there.execute(f"LISTEN {row[0] if row else ''}".encode())
            self._sessions.append(self._connect())
        except BaseException:
            self.disconnect()
            raise

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(psycopg.Error):  # it has ended already
                await self._be_there()
            self.disconnect()
            self._tell(Commit(complete=True))  # what we had to do is somebody else's now, until we are back
            for pause in _pauses():
                try:
                    await self._join()
                    break
                except Exception as error:  # noqa: BLE001 - whatever it is, without a place here nothing is sent
                    log.warning("the database cannot be reached", reason=str(error).partition("\n")[0])
                    await asyncio.sleep(pause)

    async def _be_there(self) -> None:
        """Hear and watch until a session ends."""
        loop, (there, watching) = asyncio.get_running_loop(), self._sessions
        socket, watch = there.fileno(), asyncio.create_task(self._watch(watching), name="watch")
        loop.add_reader(socket, self._hear, there)
        try:
            await asyncio.wait({watch, self._lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(socket)
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    def _hear(self, there: Database) -> None:
        try:
            there.pgconn.consume_input()
            while (note := there.pgconn.notifies()) is not None:
                self._heard(orjson.loads(note.extra))
        except psycopg.Error:
            self.doubt()

    def _heard(self, note: dict[str, Any]) -> None:
        if asyncio.get_running_loop().time() - self._watching_since > REWATCH_S:
            self._others_changed.set()
        if note["by"] == self._number:
            return
        changed, dropped = tuple(note.get("changed", ())), tuple(note.get("dropped", ()))
        if changed or dropped:
            self._tell(Commit(changed=changed, dropped=dropped))
        if note.get("to") == self._number:
            self._soon(lambda tx: tx.receive(note["given"]))
        if "replicas" in note:
            self._others_changed.set()
            if "left" in note:
                self._soon(lambda tx: tx.take_up())

    def _soon(self, fn: Callable[[Any], None]) -> None:
        async def work() -> None:
            try:
                await self._run(fn)
            except Exception:  # noqa: BLE001 - it stays in the outbox, and is found there when we begin anew
                self.doubt()

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, session: Database) -> None:
        """Wait for the end of our neighbour, take its place, and go on with the next."""
        while True:
            self._others_changed.clear()
            self._watching_since = asyncio.get_running_loop().time()
            other = await _in_thread(self._neighbour, session)
            if other is None:
                await self._others_changed.wait()
            elif await self._has_gone(session, other):
                log.info("taking over from a replica that is gone", replica=other)
                await self._run(lambda tx, gone=other: tx.replace(gone))  # type: ignore[misc]  # bound now

    def _neighbour(self, session: Database) -> int | None:
        row = session.execute(_NEIGHBOUR, {"me": self._number}).fetchone()
        return None if row is None else int(row[0])

    async def _has_gone(self, session: Database, other: int) -> bool:
        """Whether `other` is gone; False if there may be a nearer one to watch. Waits for either."""
        loop, lock, socket = asyncio.get_running_loop(), lock_of(other), session.fileno()
        answer: asyncio.Future[bool] = loop.create_future()
        session.pgconn.send_query(f"SELECT pg_advisory_lock_shared({lock}), pg_advisory_unlock_shared({lock})".encode())
        session.pgconn.flush()
        news = asyncio.create_task(self._others_changed.wait())
        loop.add_reader(socket, _answered, session, answer)
        try:
            either: set[asyncio.Future[Any]] = {answer, news}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await _in_thread(session.cancel_safe)
            return await answer
        except asyncio.CancelledError:
            with contextlib.suppress(psycopg.Error):
                await _in_thread(session.cancel_safe)  # else the server would wait for the lock on and on
            raise
        finally:
            news.cancel()
            loop.remove_reader(socket)


async def _in_thread(fn: Callable[..., T], *args: object) -> T:
    """What `fn` returns. Who is cancelled waits for its end: it works with a session that is about to be closed."""
    work: asyncio.Future[T] = asyncio.get_running_loop().run_in_executor(None, partial(fn, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise


def _answered(session: Database, answer: asyncio.Future[bool]) -> None:
    """Read what the server says; a query that was cancelled is an answer too, the end of the session an error."""
    try:
        session.pgconn.consume_input()
        if session.pgconn.is_busy() or answer.done():
            return
        granted = False
        while (result := session.pgconn.get_result()) is not None:
            granted = granted or result.status == ExecStatus.TUPLES_OK
        answer.set_result(granted)
    except psycopg.Error as error:
        if not answer.done():
            answer.set_exception(error)


def _pauses() -> Iterable[float]:
    yield from PAUSES_S
    while True:
        yield PAUSES_S[-1]
