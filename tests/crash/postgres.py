"""A PostgreSQL server that can be stopped and started again, as its own operator would."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.protocol.errors import LocalError
from connector.sandbox.cluster import Server, binaries, create_database, driver


class Restartable:
    """Its data and its address stay the same. `url` leads to the database `postgres`."""

    def __init__(self, folder: Path) -> None:
        self._run, self._data = folder / "run", folder / "data"
        self._programs = binaries()
        self._server: Server | None = None
        self.url = ""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        for folder in (self._run, self._data):
            folder.mkdir(mode=0o700, exist_ok=True)
        self._server = Server(self._programs, self._run, self._data)
        self._server.initialise()
        self._server.start("off")
        self.url = self._server.wait_ready()

    def stop(self) -> None:
        """Stop it: sessions end, what was committed stays."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def database(self, name: str) -> str:
        """The URL of an empty database."""
        return create_database(self.url, name)


@contextmanager
def restartable() -> Iterator[Restartable]:
    """One that runs. Skips the test where PostgreSQL is not installed."""
    try:
        driver()
        folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: the path of a socket ends at 107 bytes
        server = Restartable(folder)
    except LocalError as error:
        pytest.skip(error.reason)
    folder.chmod(0o755)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
