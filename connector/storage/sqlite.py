"""The store on SQLite: one file, one writer thread, readers beside it.

Exactly one connection writes and checkpoints (see `lock` for the reason); readers are opened read-only and see
snapshots (WAL). Every commit is on the disk before anybody hears of it (synchronous=FULL). Under load the writer
commits up to 32 transactions at once, each in a savepoint of its own, which makes them about three times faster, and
more on slow disks: what one of them raises rolls back only its own work, and if the commit fails, all have failed.

A database in memory has the writer only; reading takes its turn there. It is what tests and simulations use.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import StaticPool
from typing_extensions import override

from connector.exchange.ports import Commit, Store, Tx
from connector.storage import schema
from connector.storage.connection import Connection, Faults, Sql, Unavailable
from connector.storage.fields import json_text
from connector.storage.jobs import Job, Queue, Worker
from connector.storage.lock import LockFile
from connector.storage.tx import StoreTx

T = TypeVar("T")

AT_ONCE: Final = 32
"""Transactions in one commit."""
READERS: Final = 2
BUSY_MS: Final = 5000
"""How long a statement waits for a lock that a foreign process holds on the file, before it fails."""
SETTINGS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA case_sensitive_like=ON",
    "PRAGMA temp_store=MEMORY",
    f"PRAGMA busy_timeout={BUSY_MS}",
)
WAL: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA wal_autocheckpoint=4000",  # pages of 4 KiB: fewer checkpoints than at 1000, a file of some 16 MiB
    "PRAGMA journal_size_limit=67108864",
)
FAULTS: Final = Faults(
    taken=sqlite3.IntegrityError,
    mistakes=(sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError, sqlite3.DataError),
    any=sqlite3.Error,
    lost=lambda database: not database.in_transaction,
)
_SQL: Final = Sql(SQLiteDialect_pysqlite(paramstyle="named"))


class SqliteStore(Store):
    """A store in a file or in memory; build it with `open`. It belongs to the event loop that opened it."""

    def __init__(self, writer: Connection, readers: Sequence[Connection], lock: LockFile | None) -> None:
        self._listeners: list[Callable[[Commit], None]] = []
        self._loop = asyncio.get_running_loop()
        self._lock = lock
        self._closed = False
        self._connections = (writer, *readers)
        self._to_write: Queue = Queue()
        self._to_read: Queue = Queue() if readers else self._to_write
        self._writer = Worker("store-writer", self._to_write, _Writing(writer), self._report, at_once=AT_ONCE)
        self._readers = [
            Worker(f"store-reader-{i}", self._to_read, _Reading(reader), self._report, at_once=1)
            for i, reader in enumerate(readers)
        ]

    @classmethod
    async def open(cls, path: str | Path | None = None, *, readers: int = READERS) -> Self:
        """Open the database at `path`, in memory if None. A new file is created, an older one migrated.

        Raises Unavailable if another process has it open, if it cannot be opened, or if a newer version has written it.
        """
        connections, lock = await asyncio.to_thread(_connect, path, readers)
        return cls(connections[0], connections[1:], lock)

    @property
    def statements(self) -> int:
        """SQL statements run so far."""
        return sum(connection.statements for connection in self._connections)

    @override
    async def run(self, fn: Callable[[Tx], T]) -> T:
        return await self._put(self._to_write, fn, reads=False)

    @override
    async def read(self, fn: Callable[[Tx], T]) -> T:
        return await self._put(self._to_read, fn, reads=True)

    async def _put(self, queue: Queue, fn: Callable[[Tx], T], *, reads: bool) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        queue.put(Job(fn, future, reads=reads))
        return await future

    @override
    def listen(self, listener: Callable[[Commit], None]) -> None:
        self._listeners.append(listener)

    @override
    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._release)

    def _release(self) -> None:
        workers = (*self._readers, self._writer)
        for worker in workers:  # all first: readers share a queue, so nobody knows which of them is the first to end
            worker.end()
        for worker in workers:
            worker.join()
        for connection in self._connections[1:]:
            connection.close()
        writer = self._connections[0]
        if self._lock is not None:
            writer.lost = False
            writer.control("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.close()
        if self._lock is not None:
            self._lock.release()

    def _report(self, jobs: Sequence[Job]) -> None:
        """Tell the listeners, then wake the callers; in the loop, in commit order."""
        for job in jobs:
            if job.commit is not None:
                for listener in self._listeners:
                    job.context.run(self._tell, listener, job.commit)
            job.resolve()

    def _tell(self, listener: Callable[[Commit], None], commit: Commit) -> None:
        try:
            listener(commit)
        except Exception as error:  # noqa: BLE001 - the commit stands; the caller must not pay for a listener
            context = {"message": "a listener of the store failed", "exception": error}
            self._loop.call_exception_handler(context)


class _Writing:
    """Runs batches of jobs in one commit each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tx = StoreTx(connection)

    def __call__(self, jobs: Sequence[Job]) -> None:
        connection = self._connection
        try:
            connection.lost = False
            connection.control("BEGIN IMMEDIATE")
            for job in jobs:
                self._run(job, alone=len(jobs) == 1)
            connection.control("ROLLBACK" if all(job.error is not None for job in jobs) else "COMMIT")
        except BaseException as error:  # noqa: BLE001 - nobody may wait for ever, so this thread never ends of a fault
            self._tx.taken()
            self._roll_back()
            for job in jobs:
                job.fail(error)

    def _run(self, job: Job, *, alone: bool) -> None:
        connection = self._connection
        connection.writable = not job.reads
        if not alone:
            connection.control("SAVEPOINT job")
        try:
            job.result = job.fn(self._tx)
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, and this thread goes on
            job.fail(error)
        promised = self._tx.taken()
        if connection.lost:
            raise Unavailable("the database has given up the transaction") from job.error
        if job.error is None:
            job.commit = promised
        elif not alone:
            connection.control("ROLLBACK TO job")
        if not alone:
            connection.control("RELEASE job")

    def _roll_back(self) -> None:
        """After a failed statement about the transaction it may still be open."""
        self._connection.lost = False
        with contextlib.suppress(Exception):  # there was none
            self._connection.control("ROLLBACK")


class _Reading:
    """Runs jobs on a snapshot each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tx = StoreTx(connection)

    def __call__(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._connection.lost = False
            try:
                self._connection.control("BEGIN")
                try:
                    job.result = job.fn(self._tx)
                finally:
                    self._tx.taken()
                    if not self._connection.lost:
                        self._connection.control("COMMIT")
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, and this thread goes on
                job.fail(error)


def _connect(place: str | Path | None, readers: int) -> tuple[list[Connection], LockFile | None]:
    path = None if place is None else Path(place).absolute()
    lock = None if path is None else LockFile(path)
    opened: list[sqlite3.Connection] = []
    try:
        if path is None:
            opened.append(_opened(":memory:", SETTINGS))
        else:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # it holds secrets and tokens
            opened.append(_opened(path.as_uri(), (*WAL, *SETTINGS)))
        _bring_up(opened[0])
        if path is not None:
            opened.extend(_opened(f"{path.as_uri()}?mode=ro", SETTINGS) for _ in range(readers))
    except BaseException as error:
        for database in opened:
            database.close()
        if lock is not None:
            lock.release()
        if isinstance(error, sqlite3.Error | OSError):
            raise Unavailable(f"the database {path or 'in memory'} cannot be opened: {error}") from error
        raise
    return [Connection(database, _SQL, FAULTS) for database in opened], lock


def _opened(uri: str, settings: Sequence[str]) -> sqlite3.Connection:
    """A connection without Python's own transactions; one thread at a time uses it, though another has opened it."""
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        for setting in settings:
            database.execute(setting)
        database.create_function("lower", 1, _lower, deterministic=True)
        database.create_function("json_text", 2, json_text, deterministic=True)
    except BaseException:
        database.close()
        raise
    return database


def _lower(text: str | float | bytes | None) -> str | float | bytes | None:
    """SQLite's own only knows ASCII."""
    return text.lower() if isinstance(text, str) else text


def _bring_up(database: sqlite3.Connection) -> None:
    engine = create_engine("sqlite://", creator=lambda: database, poolclass=StaticPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        schema.bring_up(connection)
