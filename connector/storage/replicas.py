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
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import orjson
import psycopg
import structlog
from psycopg.pq import ExecStatus

from connector.exchange.ports import Commit
from connector.storage.replica_tx import CHANNEL

log = structlog.get_logger()
T = TypeVar("T")
Database = psycopg.Connection[tuple[Any, ...]]
REWATCH_S: Final = 60.0
"""A statement that waits keeps the server from clearing away what is deleted since it began. So it is begun anew when
something is committed this long after; in a database where nothing happens there is nothing to clear away."""
PAUSES_S: Final = (0.05, 0.2, 1.0, 5.0)
"""Between attempts to reach a server that is gone; the last one is repeated."""
_LOCK: Final = "hashtextextended(current_schema() || '/connector/' || {}, 0)"
WRITER: Final = _LOCK.format("'writer'")
TABLES: Final = _LOCK.format("'tables'")
"""Held shared by every replica, and alone by whoever changes the tables."""
_NEIGHBOUR: Final = "SELECT id FROM replica WHERE id <> %(me)s ORDER BY id < %(me)s, id LIMIT 1"


def lock_of(replica: int) -> str:
    """The key of the lock that a living replica holds, as SQL."""
    return _LOCK.format(f"'replica/{replica}'")


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
