"""A store in its threads, whatever database is behind it: one writes, some read, the event loop waits for neither.

Under load the writer commits up to 32 transactions at once, each in a savepoint of its own, which makes them about
three times faster, and more on slow disks: what one of them raises rolls back only its own work, and if the commit
fails, all have failed. Having one writer keeps the order: listeners hear of commits in the order of their making.
"""

import asyncio
import contextlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeVar, cast

from typing_extensions import override

from connector.exchange.ports import Commit, Store, Tx
from connector.storage.connection import Connection, Unavailable
from connector.storage.jobs import Job, Queue, Worker
from connector.storage.tx import StoreTx

T = TypeVar("T")

AT_ONCE: Final = 32
"""Transactions in one commit."""
READERS: Final = 2


class DatabaseStore(Store):
    """A store over a connection that writes and some that read; without any, reading takes its turn with writing.

    It belongs to the event loop that made it. worker: makes what takes jobs from a queue; a simulation's is no thread.
    transactions: makes the transactions of the writing connection.
    """

    def __init__(
        self,
        writer: Connection,
        readers: Sequence[Connection],
        worker: Callable[..., Worker] = Worker,
        *,
        transactions: Callable[[Connection], StoreTx] = StoreTx,
    ) -> None:
        self._listeners: list[Callable[[Commit], None]] = []
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.batches: Counter[int] = Counter()
        """Commits so far, by how many transactions they had."""
        self.failures = 0
        """Transactions that the database could not carry out: full, locked, away."""
        self._connections = (writer, *readers)
        self._to_write: Queue = Queue()
        self._to_read: Queue = Queue() if readers else self._to_write
        self._writer = worker(
            "store-writer", self._to_write, Writing(writer, transactions), self._report, at_once=AT_ONCE
        )
        self._readers = [
            worker(f"store-reader-{i}", self._to_read, _Reading(reader), self._report, at_once=1)
            for i, reader in enumerate(readers)
        ]

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

    async def signs_with(self, did: str, kid: str) -> str | None:
        """Remember that the node `did` signs with `kid`; the key that it signed with before, None if with this one."""
        return await self.run(lambda tx: cast("StoreTx", tx).signs_with(did, kid))

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
        self._disconnect()

    def _disconnect(self) -> None:
        """Close the connections, when all threads have ended."""
        for connection in reversed(self._connections):
            connection.close()

    def _report(self, jobs: Sequence[Job]) -> None:
        """Tell the listeners, then wake the callers; in the loop, in commit order."""
        if done := sum(not job.reads and job.error is None for job in jobs):
            self.batches[done] += 1
        self.failures += sum(isinstance(job.error, Unavailable) for job in jobs)
        for job in jobs:
            if job.commit is not None:
                job.context.run(self._tell_all, job.commit)
            job.resolve()
        if any(job.doubtful for job in jobs):
            self._doubt()

    def _doubt(self) -> None:
        """A commit may stand although it has failed for those who know of it; in SQLite one that failed is undone."""

    def _tell_all(self, commit: Commit) -> None:
        for listener in self._listeners:
            self._tell(listener, commit)

    def _tell(self, listener: Callable[[Commit], None], commit: Commit) -> None:
        try:
            listener(commit)
        except Exception as error:  # noqa: BLE001 - the commit stands; the caller must not pay for a listener
            context = {"message": "a listener of the store failed", "exception": error}
            self._loop.call_exception_handler(context)


class SharedStore(DatabaseStore):
    """A store that several replicas of one node have in common."""

    @abstractmethod
    async def belong(self, did: str, kid: str) -> None:
        """Make this the database of the node `did`, which signs with `kid`. Raise Invalid if it is another's."""

    @abstractmethod
    async def first_use(self, key: str, *, until_s: int, now_s: int) -> bool:
        """Whether no replica was told before that the token `key` is used; remembered until `until_s` (seconds)."""


class Writing:
    """Runs batches of jobs in one commit each."""

    def __init__(self, connection: Connection, transactions: Callable[[Connection], StoreTx] = StoreTx) -> None:
        self._connection = connection
        self._tx = transactions(connection)

    def __call__(self, jobs: Sequence[Job]) -> None:
        """Run `jobs`; each has its result or its error afterwards."""
        connection, committing = self._connection, False
        try:
            connection.begin()
            for job in jobs:
                self._run(job, alone=len(jobs) == 1)
            if all(job.error is not None for job in jobs):
                connection.control("ROLLBACK")
                return
            self._tx.before_commit([job.commit for job in jobs if job.commit is not None])
            committing = True
            connection.control("COMMIT")
        except BaseException as error:  # noqa: BLE001 - nobody may wait for ever, so this thread never ends of a fault
            doubtful = committing and connection.lost
            self._tx.taken()
            self._roll_back()
            for job in jobs:
                job.doubtful = doubtful and job.error is None
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
        if job.error is None and connection.spoilt is not None:
            job.fail(connection.spoilt)  # it has gone on after a failed statement, but cannot be committed
        if job.error is None:
            job.commit = promised
        elif not alone:
            connection.roll_back_to("job")
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
            try:
                self._connection.begin()
                try:
                    job.result = job.fn(self._tx)
                finally:
                    self._tx.taken()
                    if not self._connection.lost:
                        self._connection.control("COMMIT")
            except BaseException as error:  # noqa: BLE001 - it belongs to the caller, and this thread goes on
                job.fail(error)
