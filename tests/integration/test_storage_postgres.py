"""PostgreSQL's own duties: lost sessions, and the same comparisons in whatever language."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from connector.exchange.ports import Commit, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import PolicyDefinition, Secret
from connector.protocol.errors import Conflict, Invalid
from connector.storage import schema
from connector.storage.connection import Unavailable
from connector.storage.fields import json_text
from connector.storage.postgres import PostgresStore
from tests.integration.postgres_cluster import DISCONNECT, Server
from tests.unit import storage_records as records
from tests.unit.storage_records import each


@pytest.fixture
async def store(database: str) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(database)
    yield opened
    await opened.close()


def disconnect(database: str) -> None:
    """As when the server restarts."""
    with psycopg.connect(database, autocommit=True) as operator:
        operator.execute(DISCONNECT)


def count(tx: Tx) -> int:
    return tx.secrets.count()


def add_secret(tx: Tx) -> None:
    tx.secrets.add(records.SECRET)


class TestLostSessions:
    async def test_one_that_broke_between_transactions_is_replaced_unseen(
        self, store: PostgresStore, database: str
    ) -> None:
        await store.run(add_secret)
        disconnect(database)
        assert await store.run(count) == 1
        assert [await store.read(count) for _ in range(4)] == [1] * 4

    @pytest.mark.parametrize("name", ["run", "read"])
    async def test_one_that_breaks_within_fails_that_transaction_only(
        self, store: PostgresStore, database: str, name: str
    ) -> None:
        use: Callable[[Callable[[Tx], object]], Any] = getattr(store, name)

        def interrupted(tx: Tx) -> None:
            count(tx)
            disconnect(database)
            count(tx)

        with pytest.raises(Unavailable) as refused:
            await use(interrupted)
        assert refused.value.status == 503
        assert await use(count) == 0

    async def test_all_that_was_to_be_committed_together_fails_together(
        self, store: PostgresStore, database: str
    ) -> None:
        told: list[Commit] = []
        store.listen(lambda commit: None if commit.complete else told.append(commit))

        def work(number: int) -> Callable[[Tx], None]:
            def add(tx: Tx) -> None:
                tx.send(records.a_message(f"m-{number}"))
                if number == 2:
                    disconnect(database)

            return add

        results = await asyncio.gather(*(store.run(work(n)) for n in range(4)), return_exceptions=True)
        kept = await store.read(lambda tx: {m.id for m in tx.outbox.query(QuerySpec())})
        assert isinstance(results[2], Unavailable)
        assert kept == {f"m-{n}" for n, result in enumerate(results) if result is None}
        assert len(told) == len(kept) < 4

    async def test_a_server_that_is_gone_is_told_and_found_again(self, postgres: Server) -> None:
        with postgres.new_database() as url:
            name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
            store = await PostgresStore.open(url)
            with psycopg.connect(url, autocommit=True) as operator:
                postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                operator.execute(DISCONNECT)
            for use in (store.run, store.read, store.run):
                with pytest.raises(Unavailable, match="cannot be reached"):
                    await use(count)
            postgres.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            assert await store.run(count) == await store.read(count) == 0
            await store.close()


class TestTransactions:
    async def test_readers_see_a_snapshot_and_do_not_wait(self, store: PostgresStore) -> None:
        loop = asyncio.get_running_loop()

        def look(tx: Tx) -> tuple[int, int]:
            before = tx.secrets.count()
            asyncio.run_coroutine_threadsafe(store.run(add_secret), loop).result(timeout=30)
            return before, tx.secrets.count()

        assert await store.read(look) == (0, 0)
        assert await store.read(count) == 1

    async def test_who_goes_on_after_a_failed_statement_is_rolled_back_alone(self, store: PostgresStore) -> None:
        first, second = (records.a_negotiation(f"n-{n}", peer_pid=f"p-{n}") for n in (1, 2))

        def quiet(tx: Tx) -> None:
            tx.negotiations.add(first)
            tx.negotiations.add(second)
            with pytest.raises(Conflict):
                tx.negotiations.save(records.a_negotiation("n-2", peer_pid="p-1"))

        def louder(tx: Tx) -> None:
            quiet(tx)
            with pytest.raises(Unavailable, match="cannot go on"):
                tx.secrets.add(records.SECRET)

        jobs = [add_secret, quiet, louder, lambda tx: tx.assets.add(records.asset())]
        results = await asyncio.gather(*(store.run(job) for job in jobs), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), Conflict, Conflict, type(None)]
        counts = await store.read(lambda tx: (tx.secrets.count(), tx.negotiations.count(), tx.assets.count()))
        assert counts == (1, 0, 1)
        with pytest.raises(Conflict):
            await store.run(quiet)
        assert await store.run(lambda tx: tx.negotiations.count()) == 0

    @pytest.mark.parametrize("value", ["a\0b", "\0"])
    async def test_what_postgresql_cannot_keep_is_refused_and_named(self, store: PostgresStore, value: str) -> None:
        with pytest.raises(Invalid, match="cannot keep this value"):
            await store.run(lambda tx: tx.secrets.add(Secret(value, 1, "v")))
        assert await store.run(count) == 0

    async def test_a_key_too_long_for_an_index_is_refused(self, store: PostgresStore) -> None:
        ident = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(4000))  # nothing that could be packed
        with pytest.raises(Invalid, match="cannot keep this value"):
            await store.run(lambda tx: tx.secrets.add(Secret(ident, 1, "v")))

    async def test_an_idle_store_runs_no_statements(self, store: PostgresStore) -> None:
        await store.run(add_secret)
        before = store.statements
        for _ in range(100):
            await asyncio.sleep(0)
        assert store.statements == before


class TestOpening:
    async def test_a_password_is_not_repeated(self, database: str) -> None:
        with pytest.raises(Unavailable) as unreachable:
            await PostgresStore.open(database.replace("postgres@", "nobody:hidden@"))
        with pytest.raises(Invalid) as invalid:
            await PostgresStore.open("http://me:hidden@host/database")
        assert "hidden" not in f"{unreachable.value}{invalid.value}{invalid.value.__cause__}"

    async def test_the_tables_of_a_newer_version_are_left_alone(self, postgres: Server) -> None:
        with postgres.new_database() as url:
            await (await PostgresStore.open(url)).close()
            with psycopg.connect(url) as operator:
                operator.execute("UPDATE alembic_version SET version_num = '9999'")
            with pytest.raises(Unavailable, match=r"revision 9999.*newer version"):
                await PostgresStore.open(url)

    async def test_a_database_with_other_letters_is_refused(self, postgres: Server) -> None:
        postgres.execute("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        with pytest.raises(Unavailable, match="encoding LATIN1"):
            await PostgresStore.open(postgres.url.replace("/postgres?", "/latin?"))

    async def test_all_at_once_and_step_by_step_give_the_same_tables(self, postgres: Server) -> None:
        with postgres.new_database() as once, postgres.new_database() as stepwise:
            await (await PostgresStore.open(once)).close()
            engine = create_engine(stepwise.replace("postgresql:", "postgresql+psycopg:"))
            with engine.connect() as connection:
                schema.migrate(connection, "base")
                connection.commit()
            engine.dispose()
            assert tables(once) == tables(stepwise)


def tables(url: str) -> dict[str, list[tuple[object, ...]]]:
    asked = {
        "columns": "SELECT table_name, ordinal_position, column_name, data_type, is_nullable, collation_name,"
        " column_default FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "constraints": "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace ORDER BY 1, 2",
    }
    with psycopg.connect(url) as session:
        return {name: session.execute(sql.encode()).fetchall() for name, sql in asked.items()}


numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
keys = st.sampled_from(["a", "b", "0", "@id", "@value", "ä'\"\\"])
documents = st.recursive(
    scalars, lambda inner: st.dictionaries(keys, inner) | st.lists(inner, max_size=2), max_leaves=6
)


@pytest.fixture
def session(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents, keys=st.lists(keys, max_size=3))
@example(document=4.774973389821126e16, keys=[])  # PostgreSQL's own shortest form has one more digit
@example(document={"a": "\\u0000\0\0"}, keys=["a"])
def test_json_text_finds_what_it_finds_beside_sqlite(
    session: psycopg.Connection, document: object, keys: list[str]
) -> None:
    doc, path = orjson.dumps(document).decode(), orjson.dumps(keys).decode()
    expected = json_text(doc, path)
    found = session.execute("SELECT json_text(%s, %s)", (doc, path)).fetchone()
    assert found == (None if expected is None else expected.replace("\0", "\ufffd"),)


@pytest.mark.parametrize(
    "value", [1e15, 1234567890123456.5, 1e16, -1e15, 1e-5, 1.5e-7, 1e300, 0.0001, -0.0, 2.0, 5e-324]
)
async def test_numbers_are_written_as_python_writes_them(store: PostgresStore, value: float) -> None:
    definition = PolicyDefinition("p", 1, records.POLICY, {"https://w3id.org/edc/v0.0.1/ns/x": value})
    await store.run(lambda tx: tx.policies.add(definition))
    assert await store.read(lambda tx: tx.policies.count([Criterion("privateProperties.x", "=", value)])) == 1


async def test_small_and_capital_letters_are_those_of_all_languages(store: PostgresStore) -> None:
    await store.run(lambda tx: tx.secrets.add(Secret("ÄÉΣЖ", 1, "v")))
    assert await store.read(lambda tx: tx.secrets.count([Criterion("id", "ilike", "äéσж")])) == 1
    assert await store.read(lambda tx: tx.secrets.count([Criterion("id", "like", "äéσж")])) == 0


async def test_texts_are_ordered_by_code_point(store: PostgresStore) -> None:
    """A database that sorts as a dictionary does would say a, B, ä."""
    await store.run(lambda tx: each(tx.secrets.add, (Secret(i, 1, "v") for i in ("ä", "a", "B"))))
    spec = QuerySpec(sort_field="id")
    assert [s.id for s in await store.read(lambda tx: tx.secrets.query(spec))] == ["B", "a", "ä"]
    assert await store.read(lambda tx: tx.secrets.count([Criterion("id", "<", "a")])) == 1
