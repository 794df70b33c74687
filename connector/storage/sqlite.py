"""The store on SQLite: one file, one writer thread, readers beside it.

Exactly one connection writes and checkpoints (see `lock` for the reason); readers are opened read-only and see
snapshots (WAL). Every commit is on the disk before anybody hears of it (synchronous=FULL).

A database in memory has the writer only; reading takes its turn there. It is what tests and simulations use.
"""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import StaticPool
from typing_extensions import override

from connector.storage import schema
from connector.storage.connection import Connection, Faults, Sql, Unavailable
from connector.storage.fields import json_text
from connector.storage.lock import LockFile
from connector.storage.store import READERS, DatabaseStore

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
    unfit=(),
    mistakes=(sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.NotSupportedError, sqlite3.DataError),
    any=sqlite3.Error,
    lost=lambda database: not database.in_transaction,
    spoilt=lambda _: False,  # a failed statement leaves the others as they are
)
_SQL: Final = Sql(SQLiteDialect_pysqlite(paramstyle="named"))


class SqliteStore(DatabaseStore):
    """A store in a file or in memory; build it with `open`."""

    def __init__(self, writer: Connection, readers: Sequence[Connection], lock: LockFile | None) -> None:
        super().__init__(writer, readers)
        self._lock = lock

    @classmethod
    async def open(cls, path: str | Path | None = None, *, readers: int = READERS) -> Self:
        """Open the database at `path`, in memory if None. A new file is created, an older one migrated.

        Raises Unavailable if another process has it open, if it cannot be opened, or if a newer version has written it.
        """
        opening = asyncio.create_task(asyncio.to_thread(_connect, path, readers))
        try:
            connections, lock = await asyncio.shield(opening)
        except asyncio.CancelledError:
            await asyncio.wait([opening])
            if opening.exception() is None:  # it was opened for nobody, who cannot close it either
                _give_up(*opening.result())
            raise
        return cls(connections[0], connections[1:], lock)

    @override
    def _disconnect(self) -> None:
        writer, *readers = self._connections
        for reader in readers:
            reader.close()
        if self._lock is not None:
            writer.lost = False
            writer.control("PRAGMA wal_checkpoint(TRUNCATE)")
        writer.close()
        if self._lock is not None:
            self._lock.release()


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
    writer, *others = opened
    beginnings = [(writer, "BEGIN IMMEDIATE"), *((reader, "BEGIN") for reader in others)]
    return [Connection(database, _SQL, FAULTS, begins) for database, begins in beginnings], lock


def _give_up(connections: Sequence[Connection], lock: LockFile | None) -> None:
    for connection in reversed(connections):
        connection.close()
    if lock is not None:
        lock.release()


def read_only(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """A connection that can neither write nor checkpoint. alone: nobody else has the database, nor ever will meanwhile.

    Then reading leaves no files behind. Raise sqlite3.Error.
    """
    return _opened(f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}", SETTINGS)


def reader(database: sqlite3.Connection) -> Connection:
    """What reads the records of a database that was opened with `read_only`."""
    return Connection(database, _SQL, FAULTS, "BEGIN")


def _opened(uri: str, settings: Sequence[str]) -> sqlite3.Connection:
    """A connection without Python's own transactions; one thread at a time uses it, though another has opened it."""
    database = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=512)
    try:
        for setting in settings:
            database.execute(setting)
        database.create_function("lowered", 1, _lowered, deterministic=True)
        database.create_function("json_text", 2, json_text, deterministic=True)
    except BaseException:
        database.close()
        raise
    return database


def _lowered(text: str | float | bytes | None) -> str | float | bytes | None:
    """SQLite's own `lower` only knows ASCII."""
    return text.lower() if isinstance(text, str) else text


def _bring_up(database: sqlite3.Connection) -> None:
    engine = create_engine("sqlite://", creator=lambda: database, poolclass=StaticPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        schema.bring_up(connection)
