"""Looking after a database from outside: what is wrong is found, a copy is whole, a running node is not disturbed."""

import asyncio
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, text

from connector.exchange.ports import Tx
from connector.exchange.records import Outgoing, Secret, Timer
from connector.protocol import negotiation
from connector.protocol.errors import Conflict, NotFound
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.sandbox.cluster import binaries
from connector.storage import postgres_upkeep, schema, upkeep
from connector.storage.connection import Unavailable
from connector.storage.postgres import PostgresStore
from connector.storage.sqlite import SqliteStore
from connector.storage.store import DatabaseStore
from tests.integration.postgres_cluster import Server
from tests.unit import storage_records as records
from tests.unit.storage_records import each


class Database:
    """One of either kind: `care` is what looks after it, `place` where it is."""

    def __init__(self, care: ModuleType, place: Path | str) -> None:
        self.care: Any = care
        self.place: Any = place

    async def open(self) -> DatabaseStore:
        opens: Any = SqliteStore if self.care is upkeep else PostgresStore
        store: DatabaseStore = await opens.open(self.place)
        return store

    async def after(self, *changes: Callable[[Tx], object]) -> list[str]:
        """What is wrong after these changes, found while the node runs and when it has ended."""
        store = await self.open()
        for change in changes:
            await store.run(change)
        running = await asyncio.to_thread(self.care.check, self.place)
        await store.close()
        ended = await asyncio.to_thread(self.care.check, self.place)
        assert set(ended) <= set(running)
        return sorted(map(str, running))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield Database(upkeep, tmp_path / "node.db")
        return
    server: Server = request.getfixturevalue("postgres")
    with server.database() as url:
        yield Database(postgres_upkeep, url)


def whole(tx: Tx) -> None:
    """A negotiation with its agreement and a running transfer, and nothing that is wrong."""
    process = NegotiationProcess(Role.PROVIDER, negotiation.State.FINALIZED)
    tx.negotiations.add(records.a_negotiation("n-1", process=process))
    tx.agreements.add(records.an_agreement(negotiation_id="n-1"))
    transfer = records.a_transfer("t-1")
    tx.transfers.add(transfer)
    if transfer.process.pending is not None:
        tx.send(records.a_message(transfer.process.pending.key, "t-1"))


class TestCheck:
    async def test_nothing_is_wrong_with_what_a_node_writes(self, database: Database) -> None:
        assert await database.after(whole) == []

    async def test_messages_timers_and_doors_of_nobody_are_found(self, database: Database) -> None:
        def orphan(tx: Tx) -> None:
            tx.send(records.a_message("m-1", "nobody"))
            tx.send(Outgoing("m-2", 1, "push:nobody", "push", "PUSH", "http://x", b""))
            tx.send(Outgoing("m-3", 1, "callback:nobody", "callback", "X", "http://x", b""))
            tx.set_timer(Timer("x-1", 1 << 50, "k", "nobody"))
            tx.grants.add(records.GRANT)
            tx.edrs.add(records.an_edr())

        assert await database.after(orphan) == [
            f"access_grant {records.GRANT.id}: it opens a transfer that has ended, or that never was",
            f"edr {records.an_edr().id}: it opens a transfer that has ended, or that never was",
            "outbox m-1: it belongs to no process",
            "outbox m-2: it belongs to no process",
            "timer x-1: it belongs to no process",
        ]

    async def test_contracts_without_their_other_half_are_found(self, database: Database) -> None:
        def halves(tx: Tx) -> None:
            process = NegotiationProcess(Role.PROVIDER, negotiation.State.FINALIZED)
            tx.negotiations.add(records.a_negotiation("n-1", process=process, agreement_id="lost"))
            tx.agreements.add(records.an_agreement("a-1", negotiation_id="lost"))

        assert await database.after(halves) == [
            "agreement a-1: there is no negotiation that has led to it",
            "negotiation n-1: it is final, but there is no agreement",
        ]

    async def test_a_process_that_waits_for_nothing_is_found(self, database: Database) -> None:
        process = NegotiationProcess(Role.CONSUMER).send(negotiation.Event.REQUEST, "m-1")
        asked = records.a_negotiation("n-1", process=process, agreement_id=None)
        assert await database.after(lambda tx: tx.negotiations.add(asked)) == [
            f"negotiation n-1: it waits for the answer to {negotiation.Event.REQUEST}, which nobody sends"
        ]

    async def test_a_timer_of_the_past_is_wrong_while_the_node_runs(self, database: Database) -> None:
        timer = Timer("x-1", 1, "k", "t-1")
        late = "timer x-1: it should have rung more than a minute ago"
        assert await database.after(whole, lambda tx: tx.set_timer(timer)) == [late]
        assert database.care.check(database.place) == []

    def test_tables_of_another_revision_are_told(self, database: Database, tmp_path: Path) -> None:
        if database.care is upkeep:
            at_first(tmp_path / "node.db")
        else:
            with psycopg.connect(database.place) as session:
                session.execute("UPDATE alembic_version SET version_num = '0001'")
        (found,) = database.care.check(database.place)
        assert f"at revision 0001, not {schema.HEAD}: connector db migrate" in str(found)
        if database.care is not upkeep:
            with psycopg.connect(database.place) as session:
                session.execute("UPDATE alembic_version SET version_num = %s", [schema.HEAD])


class TestSqlite:
    async def test_a_damaged_file_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "node.db"
        store = await SqliteStore.open(path)
        await store.run(lambda tx: each(tx.secrets.add, (Secret(f"{n}a", 1, "v" * 100) for n in range(400))))
        await store.close()
        content = bytearray(await asyncio.to_thread(path.read_bytes))
        content[-8192:-4096] = b"\xff" * 4096
        await asyncio.to_thread(path.write_bytes, content)
        assert await asyncio.to_thread(upkeep.check, path)
        with pytest.raises(Unavailable, match="damaged"):
            await asyncio.to_thread(upkeep.backup, path, tmp_path / "copy.db")
        assert not (tmp_path / "copy.db").exists()

    async def test_looking_at_a_closed_database_leaves_nothing_behind(self, tmp_path: Path) -> None:
        path = tmp_path / "node.db"
        await (await SqliteStore.open(path)).close()
        before = path.read_bytes()
        assert await asyncio.to_thread(upkeep.check, path) == []
        assert sorted(p.name for p in tmp_path.iterdir()) == ["node.db", "node.db.lock"]  # noqa: ASYNC240 - as above
        assert path.read_bytes() == before

    async def test_a_copy_is_whole_and_its_owner_s_while_the_node_writes(self, tmp_path: Path) -> None:
        path, copy = tmp_path / "node.db", tmp_path / "copy.db"
        store = await SqliteStore.open(path)
        stop = asyncio.Event()

        async def write() -> int:
            n = 0
            while not stop.is_set():
                pair = [Secret(f"{n}{part}", 1, "v" * 100) for part in "ab"]
                await store.run(lambda tx, pair=pair: [tx.secrets.add(s) for s in pair] and None)  # type: ignore[misc]
                n += 1
            return n

        writing = asyncio.create_task(write())
        size = await asyncio.to_thread(upkeep.backup, path, copy)
        stop.set()
        await writing
        await store.close()
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert size == copy.stat().st_size
        assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.db", "node.db", "node.db.lock"]  # noqa: ASYNC240 - a look at a folder
        with closing(sqlite3.connect(copy)) as database:
            odd = "SELECT count(*) FROM secret GROUP BY substr(id, 1, length(id) - 1) HAVING count(*) <> 2"
            assert database.execute(odd).fetchall() == []
        again = await SqliteStore.open(copy)
        await again.close()

    async def test_a_copy_replaces_nothing_and_needs_a_database(self, tmp_path: Path) -> None:
        path, copy = tmp_path / "node.db", tmp_path / "copy.db"
        for look in (upkeep.check, lambda place: upkeep.backup(place, copy)):
            with pytest.raises(NotFound, match="no database"):
                await asyncio.to_thread(look, path)
        await (await SqliteStore.open(path)).close()
        copy.write_bytes(b"kept")
        with pytest.raises(Conflict, match="exists already"):
            await asyncio.to_thread(upkeep.backup, path, copy)
        with pytest.raises(Unavailable, match="cannot be made"):
            await asyncio.to_thread(upkeep.backup, path, tmp_path / "missing" / "copy.db")
        assert copy.read_bytes() == b"kept"

    async def test_nothing_is_migrated_under_a_running_node(self, tmp_path: Path) -> None:
        path = tmp_path / "node.db"
        store = await SqliteStore.open(path)
        with pytest.raises(Unavailable, match="in use by process"):
            await asyncio.to_thread(upkeep.migrate, path)
        await store.close()


def at_first(path: Path) -> None:
    """A SQLite database of the first revision, with a message and a timer."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        first(connection)
    engine.dispose()


def first(connection: Connection) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "HEAD", "0001")
        schema.migrate(connection, "base")
    connection.execute(
        text(
            "INSERT INTO outbox (id, created_at, topic, kind, event, url, body, due_at, attempts, dead)"
            " VALUES ('m-1', 1, 'n-1', 'callback', 'REQUEST', 'http://x', :body, 0, 3, false)"
        ),
        {"body": b"{}"},
    )
    connection.execute(
        text("INSERT INTO timer (id, due_at, kind, subject, detail) VALUES ('x-1', 5, 'negotiation', 'n-1', '{}')")
    )
    connection.commit()


class TestMigration:
    async def test_what_the_first_revision_has_promised_is_taken_up(self, postgres: Server, tmp_path: Path) -> None:
        path = tmp_path / "node.db"
        at_first(path)
        with postgres.new_database() as url:
            engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
            with engine.connect() as connection:
                first(connection)
            engine.dispose()
            for database in (Database(upkeep, path), Database(postgres_upkeep, url)):
                assert await asyncio.to_thread(database.care.revision, database.place) == "0001"
                await asyncio.to_thread(database.care.migrate, database.place)
                assert await asyncio.to_thread(database.care.revision, database.place) == schema.HEAD
                store = await database.open()
                told: list[Any] = []
                store.listen(told.append)
                await store.run(lambda tx: tx.take_up())
                (message,), (timer,) = told[0].messages, told[0].timers
                assert (message.id, message.body, message.attempts, timer) == (
                    *("m-1", b"{}", 3),
                    Timer("x-1", 5, "negotiation", "n-1", "{}"),
                )
                await store.close()

    def test_a_new_database_has_no_revision(self, postgres: Server, tmp_path: Path) -> None:
        assert upkeep.revision(tmp_path / "node.db") is None
        with postgres.new_database() as url:
            assert postgres_upkeep.revision(url) is None
            postgres_upkeep.migrate(url)
            assert postgres_upkeep.revision(url) == schema.HEAD


class TestPostgres:
    async def test_a_new_key_needs_that_nobody_signs_with_the_old_one(self, postgres: Server) -> None:
        with postgres.database() as url:
            store = await PostgresStore.open(url)
            await store.belong("did:web:us", "one")
            with pytest.raises(Unavailable, match="stop all of them"):
                await asyncio.to_thread(postgres_upkeep.forget_key, url)
            await store.close()
            await asyncio.to_thread(postgres_upkeep.forget_key, url)
            store = await PostgresStore.open(url)
            await store.belong("did:web:us", "two")
            await store.close()

    async def test_pg_dump_makes_the_copy_and_pg_restore_can_read_it(
        self, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "copy.dump"
        with postgres.database() as url:
            store = await PostgresStore.open(url)
            await store.run(lambda tx: tx.secrets.add(records.SECRET))
            monkeypatch.setenv("PATH", str(binaries()), prepend=":")
            size = await asyncio.to_thread(postgres_upkeep.backup, url, copy)
            assert size == copy.stat().st_size > 0
            with pytest.raises(Conflict, match="exists already"):
                await asyncio.to_thread(postgres_upkeep.backup, url, copy)
            await store.close()
        with postgres.new_database() as other:
            restore = [str(binaries() / "pg_restore"), "--no-owner", f"--dbname={other}", str(copy)]
            await asyncio.to_thread(subprocess.run, restore, check=True)
            again = await PostgresStore.open(other)
            assert await again.read(lambda tx: tx.secrets.get(records.SECRET.id)) == records.SECRET
            await again.close()

    def test_without_pg_dump_it_is_said_what_to_do(
        self, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Unavailable, match="apt-get install postgresql-client"):
            postgres_upkeep.backup(postgres.url, tmp_path / "copy")

    def test_what_pg_dump_says_is_passed_on_and_no_half_copy_stays(
        self, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(binaries()), prepend=":")
        with pytest.raises(Unavailable, match=r"pg_dump has failed: .*nonesuch"):
            postgres_upkeep.backup(postgres.url.replace("/postgres?", "/nonesuch?"), tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
