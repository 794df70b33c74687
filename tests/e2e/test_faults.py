"""Faults of a node's own machine: it says which part is down, loses nothing, and goes on by itself when they are over.

The disks are small file systems in memory, which root may mount; elsewhere those tests are skipped.
"""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from connector.client import ApiError
from connector.http.health import LEAST_SPACE
from connector.http.server import Listener, serve
from connector.protocol.errors import LocalError
from connector.sandbox.ports import Ports
from connector.wiring import DATABASE, start
from tests.crash.crowd import copy_exchanges, promise
from tests.crash.postgres import Restartable, restartable
from tests.e2e.faults_world import Pair, pair, until

MOUNT: Final = "/bin/mount"
REQUESTS: Final = "connector_http_request_seconds_count"
SPACE: Final = 32 << 20
"""What is free on a small disk above what a node wants to have."""


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of a test's own; skips where that is not allowed."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() != 0 or not Path(MOUNT).exists():
        pytest.skip("only root may mount a file system")
    done = subprocess.run([MOUNT, *options, str(folder)], check=False, capture_output=True, text=True)  # noqa: S603 - fixed
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)  # noqa: S603 - fixed


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    with mounted(folder, "-t", "tmpfs", "-o", f"size={LEAST_SPACE + SPACE}", "none") as disk:
        yield disk


def fill(disk: Path, *, leave: int) -> Path:
    """A file that takes all but `leave` bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "somebody-elses"
    with filler.open("ab") as out:
        out.write(bytes(max(0, free - leave)))
    return filler


async def refused(nodes: Pair) -> ApiError:
    """What somebody hears who asks for a contract now."""
    with pytest.raises(ApiError) as told:
        await nodes.negotiate()
    assert told.value.status == 503
    return told.value


async def test_a_full_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "oem"):
        async with pair(tmp_path) as nodes:
            await nodes.exchange()
            before = await kept(nodes)
            filler = fill(tmp_path / "oem", leave=LEAST_SPACE // 2)
            assert await nodes.down("oem") == {"disk"}  # there is time to act: everything still works
            await nodes.exchange()
            fill(tmp_path / "oem", leave=0)
            while await nodes.counted("oem", "connector_store_failures_total") == 0:
                with suppress(ApiError):  # files that are there already have some room
                    await nodes.negotiate()
            await refused(nodes)
            assert await nodes.counted("oem", "connector_disk_free_bytes") < LEAST_SPACE
            assert await nodes.alive("oem")
            assert await nodes.down("maker") == set()
            filler.unlink()
            assert await nodes.down("oem") == set()
            await nodes.exchange()
            assert await kept(nodes) > before
            await all_final(nodes)


async def kept(nodes: Pair) -> int:
    async with nodes.client("oem") as oem:
        return (await oem.negotiations.query()).total


async def all_final(nodes: Pair) -> None:
    """Whatever was begun comes to its end, on both sides."""
    async with nodes.client("oem") as oem, nodes.client("maker") as maker:
        for side in (oem, maker):
            for contract in (await side.negotiations.query()).items:
                assert (await side.negotiations.wait(contract.id)).state == "FINALIZED"


@asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """Another process that writes to a node's database and does not come to an end."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); print(1); input()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-uc", code, str(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.communicate()


async def test_a_locked_database_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.storage.sqlite.SETTINGS", ("PRAGMA busy_timeout=20",))
    monkeypatch.setattr("connector.engine.dispatcher.FAULT_PAUSE_MS", 50)
    async with pair(tmp_path) as nodes:
        negotiation = await nodes.negotiate()
        async with locked(tmp_path / "maker" / DATABASE), nodes.client("maker") as maker:
            assert await nodes.down("maker") == {"store-writer"}
            assert await nodes.counted("maker", "connector_store_failures_total") > 0
            await maker.negotiations.query()  # reading goes on
            waiting = [await nodes.negotiate() for _ in range(5)]
            assert await nodes.down("oem") == set()
        assert await nodes.down("maker") == set()
        for each in (negotiation, *waiting):
            await nodes.final(each)
        await nodes.exchange()


async def test_a_data_folder_that_is_read_only(tmp_path: Path) -> None:
    async with pair(tmp_path) as nodes:
        await nodes.exchange()
        negotiation = await nodes.negotiate()
        await nodes.stop("oem")
        with mounted(tmp_path / "oem", "--bind", str(tmp_path / "oem")):
            subprocess.run([MOUNT, "-o", "remount,bind,ro", str(tmp_path / "oem")], check=True)  # noqa: S603, ASYNC221 - fixed, and at once
            with pytest.raises(LocalError) as told:
                async with start(nodes.settings["oem"]):
                    pass
        assert str(tmp_path / "oem") in told.value.reason
        assert "read-only" in told.value.reason.lower()
        await nodes.start("oem")
        await nodes.final(negotiation)
        await nodes.exchange()


async def test_a_clock_that_was_wrong_when_the_node_was_stopped(tmp_path: Path) -> None:
    """What it had put off till a time that never came is sent at the next start."""
    async with pair(tmp_path) as nodes:
        await nodes.stop("maker")
        negotiation = await nodes.negotiate()
        async with nodes.client("oem") as oem:

            async def put_off() -> bool:
                return "under way" not in str((await oem.negotiations.timeline(negotiation)).undelivered)

            await until(put_off)
        await nodes.stop("oem")
        with contextlib.closing(sqlite3.connect(tmp_path / "oem" / DATABASE)) as database, database:
            assert database.execute("UPDATE outbox SET due_at = due_at + 365 * 86400000").rowcount == 1
        await nodes.start("maker")
        await nodes.start("oem")
        await nodes.final(negotiation)


async def test_a_start_with_many_open_transfers_and_messages_to_a_peer_that_is_gone(tmp_path: Path) -> None:
    """New exchanges do not wait for what is old; `make crash` measures it with more."""
    many = 1000
    async with pair(tmp_path) as nodes:
        await nodes.exchange()
        await nodes.stop("maker")
        with Ports() as ports:
            copy_exchanges(tmp_path / "maker" / DATABASE, many)
            promise(tmp_path / "maker" / DATABASE, many, ports.take())
            await nodes.start("maker")
            assert await nodes.counted("maker", "connector_outbox_messages") == many
            await nodes.exchange()
            assert await nodes.counted("maker", "connector_delivery_seconds_count", outcome="done") < many
            assert await nodes.counted("maker", "connector_outbox_messages") >= many
            assert await nodes.down("maker") == set()


async def test_a_node_sends_nothing_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hears from it may have to fetch its DID document first, and answers to it."""
    async with pair(tmp_path) as nodes:
        await nodes.stop("maker")
        negotiation = await nodes.negotiate()
        await nodes.stop("oem")
        await nodes.start("maker")
        arrived = []

        async def late(*args: Any, **how: Any) -> Listener:
            arrived.extend([await nodes.counted("maker", REQUESTS, surface="dsp") for _ in range(5)])
            return await serve(*args, **how)

        monkeypatch.setattr("connector.wiring.surfaces.serve", late)
        await nodes.start("oem")
        assert arrived == [0] * 10
        await nodes.final(negotiation)


class TestPostgres:
    """The server of a node's database goes and comes back."""

    @pytest.fixture
    def server(self) -> Iterator[Restartable]:
        with restartable() as running:
            yield running

    async def test_it_is_stopped_while_exchanges_run(self, server: Restartable, tmp_path: Path) -> None:
        urls = {name: server.database(name) for name in ("maker", "oem")}
        async with pair(tmp_path, urls=urls) as nodes:
            await nodes.exchange()
            running = [await nodes.negotiate() for _ in range(5)]
            await asyncio.to_thread(server.stop)
            assert await nodes.down("oem") == await nodes.down("maker") == {"store", "store-writer"}
            assert await nodes.alive("oem")
            await refused(nodes)
            assert await nodes.counted("oem", "connector_store_failures_total") > 0
            await asyncio.to_thread(server.start)

            async def up() -> bool:
                return not (await nodes.down("oem") | await nodes.down("maker"))

            await until(up)
            for negotiation in running:
                await nodes.final(negotiation)
            await nodes.exchange()
            await all_final(nodes)
