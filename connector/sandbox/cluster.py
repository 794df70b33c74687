"""A PostgreSQL server of one's own, from installed binaries, reached through a socket that nobody else can open.

PostgreSQL refuses to run as root; root lets `nobody` run it. The server is started by a small shell that waits for the
end of its standard input: when the process that wanted the server is gone, however it went, the server ends too.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from connector.protocol.errors import Invalid, LocalError

DEBIAN: Final = Path("/usr/lib/postgresql")
READY_S: Final = 30.0
STOP_S: Final = 20.0
PAUSE_S: Final = 0.02
SESSIONS: Final = 350
"""Six for each of fifty nodes, and some for people."""
TAIL: Final = 8
"""Lines of the server's log that are shown when it does not start."""
_KEEPER: Final = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3 >/dev/null; kill -INT $server; } & watcher=$!
wait $server
kill $watcher
cd /
rm -rf "$RUN_DIR"
"""


def binaries() -> Path:
    """The folder with PostgreSQL's server programs. Raise LocalError if there is none."""
    on_path = shutil.which("initdb")
    versions = sorted(DEBIAN.glob("[0-9]*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in ([Path(on_path).resolve().parent] if on_path else []) + versions:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise LocalError(
        "PostgreSQL is not installed: install it (Debian: apt-get install postgresql), "
        "or name a server with --postgres-url or CONNECTOR_POSTGRES_URL"
    )


def driver() -> Any:  # noqa: ANN401 - a module
    """The driver, psycopg. Raise LocalError if it is not installed."""
    try:
        import psycopg.sql  # noqa: PLC0415 - an extra, which only those who want PostgreSQL have
    except ImportError as error:
        raise LocalError(
            "the PostgreSQL driver is not installed: pip install 'battery-passport-connector[postgres]'"
        ) from error
    return psycopg


@contextmanager
def cluster(data: Path | None = None, *, durable: bool = True) -> Iterator[str]:
    """A running server; the URL of its database `postgres`, in which one may do everything.

    data: folder to keep the databases in, made if missing; None takes a temporary one.
    durable: False does without fsync, for tests.
    Raise LocalError if PostgreSQL or its driver is not installed, or the server does not start.
    """
    driver()
    programs = binaries()
    run = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: the path of a socket ends at 107 bytes
    try:
        kept = run / "data" if data is None else data.resolve()
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = Server(programs, run, kept)
        server.initialise()
        server.start("on" if durable else "off")
        try:
            yield server.wait_ready()
        finally:
            server.stop()
    finally:
        shutil.rmtree(run, ignore_errors=True)  # the keeper may be at it


class Server:
    """A server over the files in `data`; its socket is in `run`, which is removed when it ends."""

    def __init__(self, programs: Path, run: Path, data: Path) -> None:
        self._programs = programs
        self._run = run
        self._data = data
        self._log = run / "log"
        who = _other_than_root()
        for folder in (run, data) if who else ():
            os.chown(folder, who["user"], who["group"])
        environment = {"PATH": os.defpath, "PGDATA": str(data), "RUN_DIR": str(run), "LC_ALL": "C.UTF-8"}
        self._how: dict[str, Any] = {"cwd": run, "env": environment, "stderr": subprocess.STDOUT, **who}

    def initialise(self) -> None:
        """Make the database files, unless they are there."""
        if (self._data / "PG_VERSION").exists():
            return
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        with self._log.open("ab") as log:
            done = subprocess.run([self._programs / "initdb", *options], check=False, stdout=log, **self._how)  # noqa: S603 - the installed program
        if done.returncode != 0:
            raise LocalError(f"no database could be made in {self._data}\n{self._said()}")

    def start(self, fsync: str) -> None:
        """Start the server below its keeper."""
        settings = {"listen_addresses": "", "fsync": fsync, "max_connections": str(SESSIONS)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        server = [str(self._programs / "postgres"), "-k", str(self._run), *options]
        with self._log.open("ab") as log:
            self._keeper = subprocess.Popen(  # noqa: S603 - the installed program
                ["/bin/sh", "-c", _KEEPER, "keeper", *server],
                stdin=subprocess.PIPE,
                stdout=log,
                start_new_session=True,  # Ctrl-C is for the process that wanted the server
                **self._how,
            )

    def wait_ready(self) -> str:
        """Wait until it answers; its URL. Raise LocalError with the end of its log."""
        psycopg = driver()
        url = f"postgresql://postgres@/postgres?host={quote(str(self._run), safe='')}"
        end = time.monotonic() + READY_S
        while True:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > end or self._keeper.poll() is not None:
                    raise LocalError(f"PostgreSQL does not start\n{self._said()}") from error
                time.sleep(PAUSE_S)
            else:
                return url

    def stop(self) -> None:
        """End it: what is running is rolled back, what was committed stays."""
        assert self._keeper.stdin is not None  # noqa: S101 - opened as a pipe
        self._keeper.stdin.close()
        try:
            self._keeper.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def _said(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-TAIL:])


def _other_than_root() -> dict[str, Any]:
    """For whom the server runs, as `subprocess` wants it; nothing if that is us."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def url_of(server: str, database: str) -> str:
    """The URL of another database on the same server."""
    return urlsplit(server)._replace(path=f"/{quote(database, safe='')}").geturl()


@contextmanager
def _administering(server: str) -> Iterator[Any]:
    """A session of the driver for what no transaction can hold. Raise LocalError with what the server says."""
    psycopg = driver()
    try:
        with psycopg.connect(server, autocommit=True) as session:
            yield session
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:  # the server's word, and not the driver's about the URL, which holds a password
            raise LocalError(f"the PostgreSQL server refuses: {error}") from error
        raise Invalid("this is no PostgreSQL URL: use postgresql://user@host:port/database") from None
    except psycopg.OperationalError as error:
        raise LocalError(f"the PostgreSQL server cannot be used: {str(error).strip()}") from error


def create_database(server: str, name: str, *, template: str = "template0") -> str:
    """Create a database unless it exists; its URL. `server` is the URL of any database there, of a user who may."""
    psycopg = driver()
    sql = psycopg.sql
    names = [sql.Identifier(name), sql.Identifier(template)]
    command = sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(*names)
    with _administering(server) as session, suppress(psycopg.errors.DuplicateDatabase):
        session.execute(command)
    return url_of(server, name)


def drop_database(server: str, name: str) -> None:
    """Drop a database if it exists, even while somebody uses it."""
    sql = driver().sql
    with _administering(server) as session:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
