"""SQLite's own duties: one writer, durable commits, no second process, a page of the catalog without scans."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Secret
from connector.storage.connection import Unavailable
from connector.storage.sqlite import SqliteStore
from tests.unit import storage_records as records
from tests.unit.storage_records import each

ROOT = Path(__file__).resolve().parents[2]

WRITER = textwrap.dedent("""
    import asyncio, sys
    from connector.exchange.records import Secret
    from connector.storage.sqlite import SqliteStore

    async def main():
        store = await SqliteStore.open(sys.argv[1])

        async def write(worker):
            n = 0
            while True:
                pair = [Secret(f"{worker}-{n}-{part}", 1, "v" * 500) for part in "ab"]
                await store.run(lambda tx: [tx.secrets.add(s) for s in pair])
                print(worker, n, flush=True)
                n += 1

        await asyncio.gather(*(write(i) for i in range(8)))

    asyncio.run(main())
""")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    return tmp_path / "node.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path)
    yield opened
    await opened.close()


def start_writer(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own code


async def test_what_was_committed_survives_a_kill_and_half_a_transaction_does_not(path: Path) -> None:
    with start_writer(path) as child:
        assert child.stdout is not None
        said = [child.stdout.readline().split() for _ in range(60)]
        child.send_signal(signal.SIGKILL)
        said += [words for line in child.stdout if len(words := line.split()) == 2]
    store = await SqliteStore.open(path)
    kept = {s.id for s in await store.read(lambda tx: tx.secrets.query(QuerySpec(limit=10_000)))}
    await store.close()
    assert {f"{worker}-{n}-{part}" for worker, n in said for part in "ab"} <= kept
    assert {ident[:-1] for ident in kept if ident.endswith("a")} == {
        ident[:-1] for ident in kept if ident.endswith("b")
    }


async def test_a_second_process_is_refused_and_told_who_has_it(path: Path) -> None:
    with start_writer(path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(Unavailable, match=f"in use by process {child.pid}"):
            await SqliteStore.open(path)
        child.kill()
    await (await SqliteStore.open(path)).close()


async def test_a_second_store_in_the_same_process_is_refused(store: SqliteStore, path: Path) -> None:
    with pytest.raises(Unavailable, match=f"in use by process {os.getpid()}"):
        await SqliteStore.open(path)
    await store.close()
    await (await SqliteStore.open(path)).close()


async def test_closing_leaves_one_complete_private_file(store: SqliteStore, path: Path) -> None:
    await store.run(lambda tx: tx.secrets.add(records.SECRET))
    await store.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["node.db", "node.db.lock"]
    assert await asyncio.to_thread(lambda: path.stat().st_mode & 0o777) == 0o600
    again = await SqliteStore.open(path)
    assert await again.read(lambda tx: tx.secrets.get("secret-1")) == records.SECRET
    await again.close()


async def test_every_commit_is_flushed_to_the_disk(store: SqliteStore) -> None:
    def settings(tx: Tx) -> list[object]:
        database = store._connections[0]  # noqa: SLF001 - no query of ours shows a setting
        del tx
        return [database.row(f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert await store.run(settings) == [("wal",), (2,), (1,)]


async def test_readers_work_beside_the_writer(store: SqliteStore) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Tx) -> None:
        tx.secrets.add(records.SECRET)
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(leave.wait(), loop).result(timeout=30)

    writing = asyncio.create_task(store.run(slow))
    await entered.wait()
    assert await store.read(lambda tx: tx.secrets.count()) == 0
    leave.set()
    await writing
    assert await store.read(lambda tx: tx.secrets.count()) == 1


async def test_a_snapshot_stays_as_it_was(store: SqliteStore) -> None:
    loop = asyncio.get_running_loop()

    def look(tx: Tx) -> tuple[int, int]:
        before = tx.secrets.count()
        adding = asyncio.run_coroutine_threadsafe(store.run(lambda inner: inner.secrets.add(records.SECRET)), loop)
        adding.result(timeout=30)
        return before, tx.secrets.count()

    assert await store.read(look) == (0, 0)


async def test_an_idle_store_runs_no_statements(store: SqliteStore) -> None:
    await store.run(lambda tx: tx.secrets.add(records.SECRET))
    before = store.statements
    for _ in range(100):
        await asyncio.sleep(0)
    assert store.statements == before
    await store.read(lambda tx: tx.secrets.find("x"))
    assert store.statements == before + 3  # the snapshot's begin and end, and one SELECT


async def test_a_step_of_an_exchange_is_four_statements_and_a_commit(store: SqliteStore) -> None:
    await store.run(lambda tx: tx.negotiations.add(records.a_negotiation()))
    before = store.statements

    def step(tx: Tx) -> None:
        tx.negotiations.save(tx.negotiations.get("n-1").noted(5, "x"))
        tx.send(records.a_message())
        tx.set_timer(records.TIMER)

    await store.run(step)
    assert store.statements == before + 6


async def test_a_full_disk_is_told_and_harms_nothing(store: SqliteStore) -> None:
    await store.run(lambda tx: tx.secrets.add(records.SECRET))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = [Secret(f"big-{i}", 1, "x" * 100_000) for i in range(40)]
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(Unavailable) as refused:
            await store.run(lambda tx: each(tx.secrets.add, big))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert refused.value.status == 503
    assert await store.read(lambda tx: tx.secrets.count()) == 1
    await store.run(lambda tx: each(tx.secrets.add, big))
    assert await store.read(lambda tx: tx.secrets.count()) == 41


async def test_a_database_that_is_locked_from_outside_fails_and_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.storage.sqlite.SETTINGS", ("PRAGMA busy_timeout=1",))
    store = await SqliteStore.open(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        results = await asyncio.gather(
            *(store.run(lambda tx: tx.secrets.count()) for _ in range(3)), return_exceptions=True
        )
        assert [str(r) for r in results] == ["the database cannot do this now: database is locked"] * 3
        intruder.execute("ROLLBACK")
    assert await store.run(lambda tx: tx.secrets.count()) == 0
    await store.close()


async def test_what_is_no_database_and_a_missing_folder_are_refused(path: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"no database " * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await SqliteStore.open(path)
    with pytest.raises(Unavailable, match="folder must exist"):
        await SqliteStore.open(tmp_path / "missing" / "node.db")


async def test_a_path_may_hold_characters_that_urls_reserve(tmp_path: Path) -> None:
    odd = tmp_path / "a?mode=ro&b#c%20.db"
    store = await SqliteStore.open(odd)
    await store.run(lambda tx: tx.secrets.add(records.SECRET))
    assert await store.read(lambda tx: tx.secrets.count()) == 1
    await store.close()
    assert odd.exists()


async def test_no_page_of_the_catalog_and_no_publication_scans_the_stock(store: SqliteStore) -> None:
    is_bundle = Criterion(f"'{records.TYPE}'.'@id'", "=", records.BUNDLE)

    def publish(tx: Tx) -> None:
        for i in range(3):
            tx.assets.add(records.asset(f"a-{i}"))
            tx.offers.put_asset(records.asset(f"a-{i}"))
        by_id = Criterion("id", "in", ("a-1", "a-2"))
        for n, selector in enumerate(((is_bundle, Criterion("weight", ">", 5)), (by_id, is_bundle))):
            tx.definitions.add(records.definition(f"d-{n}", *selector))
            tx.offers.put_definition(records.definition(f"d-{n}", *selector), frozenset({"BPNL1"}))
        tx.assets.save(records.asset("a-1"))
        tx.offers.put_asset(records.asset("a-1"))
        tx.offers.drop_asset("a-2")
        tx.offers.drop_definition("d-1")

    def look(tx: Tx) -> None:
        for criteria in ([], [is_bundle], [Criterion("id", "=", "a-1")], [Criterion("weight", "<", 9)]):
            tx.offers.page("BPNL1", limit=5, criteria=criteria)
        tx.offers.find("a-0", "BPNL1")
        tx.edrs.query(QuerySpec(sort_field="createdAt", criteria=(Criterion("contractNegotiationId", "=", "n"),)))
        tx.outbox.query(QuerySpec(sort_field="dueAt", criteria=(Criterion("dead", "=", False),)))
        tx.negotiations.query(QuerySpec(criteria=(Criterion("state", "=", "FINALIZED"),)))

    ran: list[str] = []
    database = store._connections[0]._database  # noqa: SLF001 - to see what really runs
    assert isinstance(database, sqlite3.Connection)
    database.set_trace_callback(ran.append)
    await store.run(publish)
    await store.run(look)
    database.set_trace_callback(None)
    assert len(ran) > 30
    for text in ran:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}")] if is_query(text) else []
        assert not [step for step in plan if step.startswith("SCAN") and not HARMLESS.search(step)], text
        assert "edr" in text or not [step for step in plan if "TEMP B-TREE" in step], text


HARMLESS = re.compile("CONSTANT ROW|SCAN anon_")


def is_query(text: str) -> bool:
    return text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))


async def test_a_fault_of_the_driver_reaches_the_caller_and_the_next_one_is_served(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> None:
        raise sqlite3.ProgrammingError(text)

    with monkeypatch.context() as patch:
        patch.setattr("connector.storage.connection.Connection.control", lambda _, text: broken(text))
        with pytest.raises(sqlite3.ProgrammingError):
            await store.run(lambda tx: tx.secrets.count())
        with pytest.raises(sqlite3.ProgrammingError):
            await store.read(lambda tx: tx.secrets.count())
    assert await store.run(lambda tx: tx.secrets.count()) == await store.read(lambda tx: tx.secrets.count()) == 0


async def test_an_opening_that_is_cancelled_gives_the_file_back(path: Path) -> None:
    opening = asyncio.create_task(SqliteStore.open(path))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await (await SqliteStore.open(path)).close()
