"""Looking after a PostgreSQL database from outside, also while replicas run.

Copies are made by PostgreSQL's own `pg_dump`, which knows what a consistent one is; `pg_restore` reads it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import make_conninfo

from connector.protocol.errors import Conflict, LocalError
from connector.storage import postgres, schema
from connector.storage.connection import Connection, Unavailable
from connector.storage.invariants import Finding, findings
from connector.storage.replicas import Database, lock_of
from connector.storage.tables import metadata

_UNFIT: Final = {
    "constraint": "SELECT conrelid::regclass, conname FROM pg_constraint"
    " WHERE NOT convalidated AND connamespace = current_schema()::regnamespace",
    "index": "SELECT indrelid::regclass, indexrelid::regclass FROM pg_index JOIN pg_class ON oid = indexrelid"
    " WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace",
}


def revision(url: str) -> str | None:
    """The revision of the tables, None if there are none. Raise Unavailable if the server cannot be reached."""
    with closing(postgres.session(url)) as session:
        return postgres.revision(session)


def migrate(url: str) -> None:
    """Create the tables, or bring them to the newest revision. Raise Unavailable while replicas run."""
    with closing(postgres.session(url)) as session:
        postgres.bring_up(session)


def forget_key(url: str) -> None:
    """Let the next node that starts say which key it signs with. Raise Unavailable while replicas run."""
    with closing(postgres.session(url)) as session:
        if _replicas(session)[0]:
            raise Unavailable("replicas of this node run: stop all of them, they sign with the key of now")
        session.execute("DELETE FROM node")


def check(url: str) -> list[Finding]:
    """What is wrong with a database. Every row is read; the server itself finds pages that are damaged."""
    with closing(postgres.session(url)) as session:
        return list(_wrong(session))


def _wrong(session: Database) -> Iterator[Finding]:
    if (found := postgres.revision(session)) != schema.HEAD:
        yield Finding("database", "", f"its tables are at revision {found}, not {schema.HEAD}: connector db migrate")
        return
    for what, text in _UNFIT.items():
        for table, name in session.execute(text.encode()):
            yield Finding(str(table), "", f"the {what} {name} does not hold")
    living, gone = _replicas(session)
    for number in gone if living else ():
        yield Finding("replica", str(number), "it is gone, and no other one has taken over")
    connection = Connection(session, postgres.SQL, postgres.FAULTS, postgres.READS)
    connection.begin()
    for table in metadata.sorted_tables:
        try:
            connection.control("SAVEPOINT reading")
            connection.rows(f"SELECT sum(length(t::text)) FROM {table.name} t")  # noqa: S608 - a name of ours
        except LocalError as error:
            connection.roll_back_to("reading")
            yield Finding(table.name, "", error.reason)
    yield from findings(connection, running=bool(living), now=time.time_ns() // 1_000_000)


def _replicas(session: Database) -> tuple[list[int], list[int]]:
    """The replicas that run, and those that are gone: their lock is to be had."""
    found: tuple[list[int], list[int]] = ([], [])
    for (number,) in session.execute("SELECT id FROM replica").fetchall():
        lock = lock_of(int(number))
        row = session.execute(f"SELECT pg_try_advisory_lock_shared({lock})".encode()).fetchone()
        free = row == (True,)
        if free:
            session.execute(f"SELECT pg_advisory_unlock_shared({lock})".encode())
        found[free].append(int(number))
    return found


def backup(url: str, to: Path) -> int:
    """Have `pg_dump` write the database to the new file `to`; its size in bytes. `pg_restore` has read it then.

    Raise Conflict if `to` exists, Unavailable with what to do if there is no `pg_dump`, or with what it says.
    """
    if to.exists():
        raise Conflict(f"{to} exists already: name a new file")
    where = postgres.parameters(url)
    dump, restore = (shutil.which(name) for name in ("pg_dump", "pg_restore"))
    if dump is None or restore is None:
        raise Unavailable(
            "pg_dump is not installed here: install PostgreSQL's client programs (Debian: apt-get install"
            f" postgresql-client), or run on the server: pg_dump --format=custom --file={to.name} {where['dbname']}"
        )
    try:
        os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # it holds secrets and tokens
        _run([dump, "--format=custom", "--no-owner", f"--file={to}", f"--dbname={_without_password(where)}"], where)
        _run([restore, "--list", str(to)], where)
    except BaseException as error:
        to.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise Unavailable(f"the backup {to} cannot be made: {error.strerror}") from error
        raise
    return to.stat().st_size


def _without_password(where: dict[str, Any]) -> str:
    """What may stand on a command line, where others of this machine can read along."""
    return make_conninfo(**{name: value for name, value in where.items() if name != "password"})


def _run(command: list[str], where: dict[str, Any]) -> None:
    password = {"PGPASSWORD": str(where["password"])} if "password" in where else {}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **password})  # noqa: S603 - the installed program
    if done.returncode != 0:
        raise Unavailable(f"{Path(command[0]).name} has failed: {done.stderr.strip().partition(chr(10))[0]}")
