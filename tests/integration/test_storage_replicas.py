"""Several stores on one PostgreSQL database: who takes care of what, and what happens when one of them is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest

from connector.exchange.ports import Commit, Tx
from connector.exchange.records import Happened, Secret, Timer
from connector.identity.shown import StoredShown
from connector.protocol.errors import Conflict, Invalid, PeerError
from connector.storage import postgres
from connector.storage.connection import Connection, Unavailable
from connector.storage.postgres import PostgresStore
from connector.storage.replica_tx import LONGEST_NOTE
from tests.unit import storage_records as records
from tests.unit.dcp_world import TYPES, DcpWorld
from tests.unit.storage_records import each

SOON_S = 10.0
"""Nothing here takes longer; a test that would wait for ever fails instead."""
SESSIONS = (
    "SELECT pid, query_start FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class Member:
    """A replica's store, and what its listeners have heard."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.heard: list[Commit] = []
        self._news = asyncio.Event()
        store.listen(self._hear)

    def _hear(self, commit: Commit) -> None:
        self.heard.append(commit)
        self._news.set()

    async def until(self, what: Callable[[Commit], bool]) -> Commit:
        """The first commit of this kind."""
        async with asyncio.timeout(SOON_S):
            while not (found := [commit for commit in self.heard if what(commit)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def until_message(self, ident: str) -> Commit:
        return await self.until(lambda commit: any(m.id == ident for m in commit.messages))

    async def die(self) -> None:
        """As when the process is killed: the server sees its sessions end."""
        life = self.store._replica._life  # noqa: SLF001 - nothing else dies without a farewell
        assert life is not None
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life
        self.store._replica.disconnect()  # noqa: SLF001 - as above

    @property
    def sessions(self) -> list[int]:
        """The server's processes for hearing and for watching."""
        return [session.info.backend_pid for session in self.store._replica._sessions]  # noqa: SLF001 - as above


Join = Callable[[], Awaitable[Member]]


@pytest.fixture
async def join(database: str) -> AsyncIterator[Join]:
    members: list[Member] = []

    async def one_more() -> Member:
        members.append(Member(await PostgresStore.open(database)))
        return members[-1]

    yield one_more
    for member in members:
        await member.store.close()


def send(ident: str, topic: str = "n-1") -> Callable[[Tx], None]:
    return lambda tx: tx.send(records.a_message(ident, topic))


def operator(database: str) -> psycopg.Connection:
    return psycopg.connect(database, autocommit=True)


def end_session(database: str, pid: int) -> None:
    with operator(database) as session:
        session.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def test_what_was_shown_to_one_replica_is_known_to_another(join: Join) -> None:
    a, b = await join(), await join()
    world = DcpWorld()
    here, there = (world.identity(remembered=StoredShown(m.store, world.clock)) for m in (a, b))
    await here.verify(world.header())
    caller = await there.verify(world.header(access="data"), single_use=False)
    assert [says.types for says in caller.credentials] == [(name,) for name in TYPES]
    assert len(world.wallet.queries) == 1
    world.publish_list(7)
    world.clock.tick(301)
    for replica in (here, there):
        with pytest.raises(PeerError):
            await replica.verify(world.header(access="data"), single_use=False)


class TestLanes:
    async def test_a_message_is_of_the_replica_that_has_committed_it(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1", "n-1"))
        await b.store.run(send("m-2", "n-2"))
        assert [m.id for commit in a.heard for m in commit.messages] == ["m-1"]
        assert [m.id for commit in b.heard for m in commit.messages] == ["m-2"]

    async def test_a_lane_stays_with_the_replica_that_runs_it(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1"))
        await b.store.run(send("m-2"))
        assert [(c.messages, [m.id for m in c.elsewhere]) for c in b.heard if c.elsewhere] == [((), ["m-2"])]
        await b.store.run(lambda tx: tx.hand_over(["m-2", "unknown"]))
        assert [m.id for m in (await a.until_message("m-2")).messages] == ["m-1", "m-2"]

    async def test_what_is_handed_over_keeps_the_order_of_the_commits(self, join: Join) -> None:
        a, b, c = await join(), await join(), await join()
        for number, member in enumerate((a, b, c)):
            await member.store.run(lambda tx, n=number: tx.send(records.a_message(f"m-{n}", "n-1", created_at=n)))  # type: ignore[misc]
        await c.store.run(lambda tx: tx.hand_over(["m-2"]))
        assert [m.id for m in (await a.until_message("m-2")).messages] == ["m-0", "m-1", "m-2"]

    async def test_an_empty_lane_and_one_of_dead_letters_is_free(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1"))
        await a.store.run(lambda tx: tx.outbox.save(records.a_message("m-1", "n-1", dead=True)))
        await b.store.run(send("m-2"))
        await b.until_message("m-2")

    async def test_an_id_is_given_once(self, join: Join) -> None:
        a = await join()
        await a.store.run(send("m-1"))
        with pytest.raises(Conflict, match="m-1 exists already"):
            await a.store.run(send("m-1"))

    async def test_what_was_to_be_handed_over_is_found_when_its_replica_dies(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1"))
        await b.store.run(send("m-2"))
        await b.die()
        taken = await a.until_message("m-2")
        assert [m.id for m in taken.messages] == ["m-1", "m-2"]

    async def test_a_timer_belongs_to_whoever_set_it_last(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(lambda tx: tx.set_timer(records.TIMER))
        await b.store.run(lambda tx: tx.set_timer(replace(records.TIMER, due_at=99)))
        await b.die()
        assert (await a.until(lambda c: c.complete)).timers == (replace(records.TIMER, due_at=99),)


class TestNews:
    async def test_others_hear_whose_records_changed_and_what_was_taken_back(self, join: Join) -> None:
        a, b = await join(), await join()

        def change(tx: Tx) -> None:
            tx.emit(Happened("transfer.process.suspended", 1, records.a_transfer("t-1")))
            tx.send(replace(records.a_message("m-1", "t-2"), kind="transfer"))
            tx.drop_messages("n-1")

        await a.store.run(change)
        told = await b.until(lambda commit: bool(commit.changed))
        assert (set(told.changed), told.dropped, told.events, told.messages) == ({"t-1", "t-2"}, ("n-1",), (), ())
        assert not [commit for commit in a.heard if commit.changed]

    async def test_more_than_fits_into_one_notification_comes_in_several(self, join: Join) -> None:
        a, b = await join(), await join()
        idents = [f"{number}-{'ä' * 400}" for number in range(LONGEST_NOTE // 100)]
        events = [Happened("secret.created", 1, Secret(ident, 1, "v")) for ident in idents]
        await a.store.run(lambda tx: each(tx.emit, events))
        await b.until(lambda commit: idents[-1] in commit.changed)
        assert [ident for commit in b.heard for ident in commit.changed] == idents

    async def test_who_is_alone_notifies_nobody(self, join: Join, database: str) -> None:
        a = await join()
        with operator(database) as listening:
            channel = listening.execute("SELECT 'connector_' || md5(current_schema())").fetchone()
            assert channel is not None
            listening.execute(f"LISTEN {channel[0]}".encode())
            await a.store.run(lambda tx: tx.drop_messages("n-1"))
            await join()
            (note, *_) = listening.notifies(timeout=SOON_S, stop_after=1)
            assert "dropped" not in note.payload


class TestTakingOver:
    async def test_all_that_a_dead_replica_has_left_goes_to_another_one(self, join: Join) -> None:
        a, b = await join(), await join()

        def promise(tx: Tx) -> None:
            each(tx.send, (records.a_message(f"m-{n}", f"n-{n}", created_at=n) for n in range(50)))
            each(tx.set_timer, (Timer(f"x-{n}", n, "k", "s") for n in range(50)))

        await a.store.run(promise)
        began = time.monotonic()
        await a.die()
        taken = await b.until(lambda commit: len(commit.messages) == len(commit.timers) == 50)
        print(f"\ntaken over after {1000 * (time.monotonic() - began):.0f} ms")  # noqa: T201 - a figure for people
        assert [m.id for m in taken.messages] == [f"m-{n}" for n in range(50)]
        await b.store.run(send("m-new", "n-1"))
        await b.until_message("m-new")

    async def test_of_three_the_last_has_everything(self, join: Join) -> None:
        members = [await join() for _ in range(3)]
        for number, member in enumerate(members):
            await member.store.run(send(f"m-{number}", f"n-{number}"))
        last = members.pop(1)
        await asyncio.gather(*(member.die() for member in members))
        await last.until(lambda commit: {m.id for m in commit.messages} == {"m-0", "m-1", "m-2"})

    async def test_who_comes_later_is_watched_too(self, join: Join) -> None:
        a = await join()
        for number in range(3):
            late = await join()
            await late.store.run(send(f"m-{number}", f"n-{number}"))
            await late.die()
            await a.until_message(f"m-{number}")

    async def test_who_leaves_gives_everything_back_at_once(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1"))
        await a.store.close()
        await b.until_message("m-1")

    async def test_a_start_finds_what_was_left(self, join: Join) -> None:
        a = await join()
        await a.store.run(send("m-1"))
        await a.die()
        b = await join()
        await b.store.run(lambda tx: tx.take_up())
        await b.until_message("m-1")

    async def test_a_row_that_somebody_has_locked_holds_up_itself_only(self, join: Join, database: str) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1", "n-1"))
        await a.store.run(send("m-2", "n-2"))
        with psycopg.connect(database) as forgotten:
            forgotten.execute("SELECT id FROM outbox WHERE id = 'm-1' FOR UPDATE")
            await a.die()
            assert [m.id for m in (await b.until_message("m-2")).messages] == ["m-2"]
            await b.store.run(send("m-3", "n-1"))
            await b.until_message("m-3")
        c = await join()
        await c.store.run(lambda tx: tx.take_up())
        await c.until_message("m-1")


class TestLostSessions:
    async def test_who_loses_its_place_lets_go_and_begins_anew_with_all(self, join: Join, database: str) -> None:
        a = await join()
        await a.store.run(send("m-1"))
        a.heard.clear()
        end_session(database, a.sessions[0])
        await a.until_message("m-1")
        assert [(commit.complete, len(commit.messages)) for commit in a.heard] == [(True, 0), (True, 1)]

    async def test_who_cannot_watch_begins_anew(self, join: Join, database: str) -> None:
        a, b = await join(), await join()
        await a.store.run(send("m-1"))
        a.heard.clear()
        end_session(database, a.sessions[1])
        await a.until(lambda commit: commit.complete)
        found = [asyncio.create_task(member.until_message("m-1")) for member in (a, b)]
        await asyncio.wait(found, return_when=asyncio.FIRST_COMPLETED)
        assert sum(task.done() for task in found) == 1
        for task in found:
            task.cancel()

    async def test_a_commit_whose_answer_was_lost_is_found(
        self, join: Join, monkeypatch: pytest.MonkeyPatch, database: str
    ) -> None:
        a = await join()
        control = Connection.control

        def lose_the_answer(connection: Connection, text: str) -> None:
            control(connection, text)
            if text == "COMMIT":
                monkeypatch.undo()
                end_session(database, connection._database.info.backend_pid)  # type: ignore[attr-defined]  # noqa: SLF001 - as above
                control(connection, "SELECT 1")

        monkeypatch.setattr(Connection, "control", lose_the_answer)
        with pytest.raises(Unavailable):
            await a.store.run(send("m-1"))
        assert [m.id for m in (await a.until_message("m-1")).messages] == ["m-1"]

    async def test_a_replica_that_stalls_in_a_transaction_is_cut_off(
        self, join: Join, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "WRITER_SETTINGS", {"idle_in_transaction_session_timeout": "50ms"})
        a, b = await join(), await join()
        entered, going = asyncio.Event(), asyncio.get_running_loop()

        def stall(tx: Tx) -> None:
            tx.secrets.add(records.SECRET)
            going.call_soon_threadsafe(entered.set)
            asyncio.run_coroutine_threadsafe(waited.wait(), going).result(timeout=SOON_S)
            tx.secrets.count()

        waited = asyncio.Event()
        stalled = asyncio.create_task(a.store.run(stall))
        await entered.wait()
        assert await b.store.run(lambda tx: tx.secrets.count()) == 0
        waited.set()
        with pytest.raises(Unavailable):
            await stalled


class TestTogether:
    async def test_two_that_change_the_same_record_come_one_after_the_other(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.run(lambda tx: tx.negotiations.add(records.a_negotiation(history=())))

        def count(tx: Tx) -> None:
            before = tx.negotiations.get("n-1")
            tx.negotiations.save(replace(before, updated_at=before.updated_at + 1))

        began = (await a.store.read(lambda tx: tx.negotiations.get("n-1"))).updated_at
        await asyncio.gather(*(member.store.run(count) for member in (a, b) for _ in range(100)))
        assert (await b.store.read(lambda tx: tx.negotiations.get("n-1"))).updated_at == began + 200

    async def test_assets_and_definitions_published_at_once_meet(self, join: Join) -> None:
        a, b = await join(), await join()

        def asset(number: int) -> Callable[[Tx], None]:
            def publish(tx: Tx) -> None:
                tx.assets.add(records.asset(f"a-{number}"))
                tx.offers.put_asset(records.asset(f"a-{number}"))

            return publish

        def definition(number: int) -> Callable[[Tx], None]:
            def publish(tx: Tx) -> None:
                tx.definitions.add(records.definition(f"d-{number}"))
                tx.offers.put_definition(records.definition(f"d-{number}"), None)

            return publish

        await asyncio.gather(
            *(a.store.run(asset(n)) for n in range(20)), *(b.store.run(definition(n)) for n in range(20))
        )
        page = await a.store.read(lambda tx: tx.offers.page(None, limit=100))
        assert [len(offering.definitions) for offering in page] == [20] * 20

    async def test_a_token_is_used_once_by_all_of_them(self, join: Join) -> None:
        a, b = await join(), await join()
        assert await a.store.first_use("token", until_s=100, now_s=40)
        assert not await b.store.first_use("token", until_s=100, now_s=40)
        assert not await a.store.first_use("token", until_s=100, now_s=99)
        assert await b.store.first_use("token", until_s=200, now_s=101)
        at_once = [member.store.first_use("other", until_s=200, now_s=101) for member in (a, b) for _ in range(10)]
        assert sum(await asyncio.gather(*at_once)) == 1

    async def test_they_are_the_same_node(self, join: Join) -> None:
        a, b = await join(), await join()
        await a.store.belong("did:web:us", "did:web:us#1")
        await b.store.belong("did:web:us", "did:web:us#1")
        with pytest.raises(Invalid, match="belongs to the node did:web:us") as other:
            await b.store.belong("did:web:them", "did:web:us#1")
        with pytest.raises(Invalid, match=r"signs with the key did:web:us#1, .* the same key file"):
            await b.store.belong("did:web:us", "did:web:us#2")
        assert other.value.pointer == "/store/url"

    async def test_the_tables_are_not_changed_under_them(self, join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
        await join()
        monkeypatch.setattr(postgres, "TABLES_WAIT", "20ms")
        monkeypatch.setattr("connector.storage.schema.HEAD", "9999")
        with pytest.raises(Unavailable, match=r"replicas .* stop all of them.* from revision \d+ to 9999"):
            await join()


class TestRest:
    async def test_nobody_runs_a_statement_while_there_is_nothing_to_do(self, join: Join, database: str) -> None:
        members = [await join() for _ in range(3)]
        await members[0].store.run(send("m-1"))
        with operator(database) as session:

            def seen() -> list[tuple[object, ...]]:
                return session.execute(f"{SESSIONS} ORDER BY pid".encode()).fetchall()

            async def rest() -> list[tuple[object, ...]]:
                before: list[tuple[object, ...]] = []
                while (now := seen()) != before:
                    before = now
                    await asyncio.wait([asyncio.create_task(asyncio.sleep(0.1))])
                return now

            before, counted = await rest(), [member.store.statements for member in members]
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0.5))])
            assert seen() == before
            assert [member.store.statements for member in members] == counted

    async def test_what_waits_does_not_keep_the_server_from_clearing_away(
        self, join: Join, monkeypatch: pytest.MonkeyPatch, database: str
    ) -> None:
        a, _ = await join(), await join()
        watching = a.sessions[1]

        def since(session: psycopg.Connection) -> object:
            return session.execute("SELECT query_start FROM pg_stat_activity WHERE pid = %s", (watching,)).fetchone()

        with operator(database) as session:
            before = since(session)
            monkeypatch.setattr("connector.storage.replicas.REWATCH_S", 0.0)
            async with asyncio.timeout(SOON_S):
                while since(session) == before:
                    await a.store.run(lambda tx: tx.drop_messages("n-1"))
