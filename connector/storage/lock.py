"""A lock file beside the database: one process, one store.

SQLite before 3.51.3 can corrupt a database when two connections write or checkpoint a WAL file at once (its WAL-reset
bug; every version that current distributions ship has it). So the database has one writer, and this keeps a second
process away. The kernel releases the lock when a process dies, so a stale file never has to be removed.
"""

import fcntl
import os
from pathlib import Path

from connector.storage.connection import Unavailable


class InUse(Unavailable):
    """Another process has the database."""


class LockFile:
    """Holds the lock on `<database>.lock` from construction to `release`. Raises InUse naming the holder."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(f"{database.name}.lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"{path} cannot be opened: {error.strerror}; the folder must exist and be ours"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise InUse(
                f"{database} is in use by process {holder}: stop it, or give this node another database; "
                "to look into a running node, ask its management API"
            ) from error
        os.truncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others open the database."""
        os.close(self._file)
