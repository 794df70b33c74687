"""Looking after a SQLite database from outside, also while its node runs.

Nothing here writes to the database but `migrate`, which is the node's own way of opening it and is refused while the
node has it. Who only reads can neither write nor checkpoint (`mode=ro`), so the rule of one writer holds (see `lock`).
"""

import asyncio
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from connector.protocol.errors import Conflict, NotFound
from connector.storage import schema
from connector.storage.connection import Unavailable
from connector.storage.invariants import Finding, findings
from connector.storage.lock import InUse, LockFile
from connector.storage.sqlite import SqliteStore, read_only, reader


def revision(path: Path) -> str | None:
    """The revision of the tables, None if there is no database. Raise Unavailable if it cannot be read."""
    if not path.exists():
        return None
    with _reading(path) as (database, _):
        return _revision(database)


def migrate(path: Path) -> None:
    """Create the database, or bring it to the newest revision. Raise Unavailable while its node runs."""

    async def open_once() -> None:
        await (await SqliteStore.open(path, readers=0)).close()

    asyncio.run(open_once())


def check(path: Path) -> list[Finding]:
    """What is wrong with a database. Raise NotFound if there is none, Unavailable if it cannot be read."""
    if not path.exists():
        raise NotFound(f"there is no database {path}")
    with _reading(path) as (database, running):
        return list(_wrong(database, running=running))


def backup(path: Path, to: Path) -> int:
    """Copy a database as it is at one moment to the new file `to`; its size in bytes. The copy is opened and checked.

    Raise NotFound if there is no database, Conflict if `to` exists, Unavailable if it cannot be made or is damaged.
    """
    if not path.exists():
        raise NotFound(f"there is no database {path}")
    if to.exists():
        raise Conflict(f"{to} exists already: name a new file")
    draft = to.with_name(f".{to.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # it holds secrets and tokens
        with _reading(path) as (database, _), closing(sqlite3.connect(draft)) as copy:
            database.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself
        with closing(read_only(draft, alone=True)) as copy:
            if damaged := _damages(copy):
                raise Unavailable(f"the copy is damaged, and so is the database: {damaged[0].what}")
        _flush(draft)
        os.link(draft, to)  # never over something that has come meanwhile
        _flush(to.parent)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"the backup {to} cannot be made: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return to.stat().st_size


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(path: Path) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """A connection that reads, and whether a node has the database. None can start in between if none has it."""
    lock: LockFile | None = None
    try:
        try:
            lock = LockFile(path)
        except InUse:
            lock = None
        # Without a writer and without a WAL there is nothing to share, and reading need not leave files behind.
        alone = lock is not None and not path.with_name(f"{path.name}-wal").exists()
        with closing(read_only(path, alone=alone)) as database:
            yield database, lock is None
    except sqlite3.Error as error:
        raise Unavailable(f"the database {path} cannot be read: {error}") from error
    finally:
        if lock is not None:
            lock.release()


def _revision(database: sqlite3.Connection) -> str | None:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def _damages(database: sqlite3.Connection) -> list[Finding]:
    wrong = []
    try:
        for (told,) in database.execute("PRAGMA integrity_check"):
            wrong += [] if told == "ok" else [Finding("database", "", told)]
        for table, row, parent, _ in database.execute("PRAGMA foreign_key_check"):
            wrong.append(Finding(table, str(row), f"what it refers to in {parent} is not there"))
    except sqlite3.DatabaseError as error:
        wrong.append(Finding("database", "", str(error)))
    return wrong


def _wrong(database: sqlite3.Connection, *, running: bool) -> Iterator[Finding]:
    if damaged := _damages(database):
        yield from damaged
        return  # whatever else such a file says is not worth repeating
    if (found := _revision(database)) != schema.HEAD:
        yield Finding("database", "", f"its tables are at revision {found}, not {schema.HEAD}: connector db migrate")
        return
    connection = reader(database)
    connection.begin()
    yield from findings(connection, running=running, now=time.time_ns() // 1_000_000)
