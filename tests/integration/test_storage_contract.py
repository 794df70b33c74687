"""What every store must do, whatever database is behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector.exchange.ports import Commit, Store, Tx
from connector.exchange.query import Criterion, QuerySpec, Scalar
from connector.exchange.records import Asset, Happened, Timer
from connector.protocol import negotiation
from connector.protocol.errors import Conflict, Invalid, LocalError, NotFound
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Role
from connector.storage.postgres import PostgresStore
from connector.storage.sqlite import SqliteStore
from connector.twins.rules import AccessRule
from connector.twins.shell import AssetLink, RegisteredShell, Shell, SpecificAssetId
from connector.twins.visibility import OWNER, Reader
from tests.unit import storage_records as records
from tests.unit.storage_records import each

Right = Scalar | tuple[Scalar, ...]
EDC = "https://w3id.org/edc/v0.0.1/ns/"


async def in_memory(_: pytest.FixtureRequest) -> Store:
    return await SqliteStore.open()


async def in_a_file(request: pytest.FixtureRequest) -> Store:
    folder: Path = request.getfixturevalue("tmp_path")
    return await SqliteStore.open(folder / "node.db")


async def on_a_server(request: pytest.FixtureRequest) -> Store:
    return await PostgresStore.open(request.getfixturevalue("database"))


@pytest.fixture(params=[in_memory, in_a_file, on_a_server])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    factory: Callable[[pytest.FixtureRequest], Awaitable[Store]] = request.param
    opened = await factory(request)
    yield opened
    await opened.close()


KINDS: dict[str, Any] = {
    "assets": records.asset(),
    "policies": records.POLICY_DEFINITION,
    "definitions": records.definition("d-1", Criterion("id", "=", "asset-1")),
    "negotiations": records.a_negotiation(),
    "agreements": records.an_agreement(),
    "transfers": records.a_transfer(),
    "edrs": records.an_edr(),
    "grants": records.GRANT,
    "secrets": records.SECRET,
    "partners": records.PARTNER,
    "payloads": records.PAYLOAD,
    "credentials": records.CREDENTIAL,
    "credential_requests": records.CREDENTIAL_REQUEST,
    "shown": records.SHOWN,
    "passports": records.PASSPORT,
    "twins": records.TWIN,
    "rules": records.RULE,
    "outbox": records.a_message(),
    "timers": records.TIMER,
}
each_kind = pytest.mark.parametrize("name", KINDS)


def twin(ident: str, **ids: str) -> RegisteredShell:
    """A twin that a reader sees by these ids, and somebody else by another."""
    rows = [*((name, value, "BPNL00000000MINE") for name, value in ids.items()), ("van", "9", "BPNL000000OTHERS")]
    written: dict[str, Any] = {"supplementalSemanticIds": []}
    return RegisteredShell(
        ident, 1, Shell(ident, None, tuple(SpecificAssetId(name, value, (bpn,), written) for name, value, bpn in rows))
    )


class TestTwins:
    async def test_a_reader_finds_its_twins_page_by_page(self, store: Store) -> None:
        mine, common = Reader("BPNL00000000MINE"), {"manufacturerPartId": "m"}
        kept = [twin(f"t{n}", **common, partInstanceId=str(n)) for n in range(5)]

        def keep(tx: Tx) -> None:
            each(tx.twins.add, [*kept, twin("hidden"), twin("t-other", manufacturerPartId="o")])

        await store.run(keep)
        part, serial = AssetLink("manufacturerPartId", "m"), AssetLink("partInstanceId", "3")

        def look(tx: Tx) -> None:
            assert tx.twins.search(mine, [part], limit=10) == kept
            assert tx.twins.search(mine, [part], after="t1", limit=2) == kept[2:4]
            assert tx.twins.search(mine, [part, serial], limit=10) == kept[3:4]
            assert tx.twins.search(mine, [serial, AssetLink("van", "9")], limit=10) == []
            assert [t.id for t in tx.twins.search(mine, [], limit=3)] == ["t-other", "t0", "t1"]
            assert [t.id for t in tx.twins.search(OWNER, [], limit=9)][:2] == ["hidden", "t-other"]
            assert tx.twins.search(Reader(), [], limit=9) == []

        await store.read(look)
        await store.run(lambda tx: tx.twins.save(twin("t3")))
        await store.run(lambda tx: tx.twins.delete("t2"))
        found = await store.read(lambda tx: tx.twins.search(mine, [part], limit=10))
        assert [t.id for t in found] == ["t0", "t1", "t4"]

    async def test_policies_and_rules_lead_to_twins_page_by_page(self, store: Store) -> None:
        part, serial, van = (
            AssetLink("manufacturerPartId", "m"),
            AssetLink("partInstanceId", "3"),
            AssetLink("van", "9"),
        )
        published = [replace(twin(f"t{n}", manufacturerPartId="m"), policies=("p",)) for n in range(3)]
        others = [twin(f"t{n}", manufacturerPartId="m", partInstanceId=str(n)) for n in range(3, 6)]
        await store.run(lambda tx: each(tx.twins.add, [*published, *others]))
        rules = [AccessRule(str(i), 1, "B", (part, van), frozenset({"partInstanceId"})) for i in range(3)]
        permitted, ruled = Reader("B", policies=frozenset({"p"})), Reader("B", rules=tuple(rules))
        both = Reader("B", policies=frozenset({"p"}), rules=(AccessRule("9", 1, "B", (serial,), frozenset({"van"})),))

        def look(tx: Tx) -> None:
            def found(reader: Reader, *wanted: AssetLink, after: str = "", limit: int = 9) -> list[str]:
                return [kept.id for kept in tx.twins.search(reader, wanted, after=after, limit=limit)]

            assert found(permitted) == found(permitted, part) == ["t0", "t1", "t2"]
            assert found(permitted, part, after="t0", limit=1) == ["t1"]
            assert found(permitted, part, van) == found(Reader("B")) == found(Reader("B"), part) == []
            assert found(ruled) == [f"t{n}" for n in range(6)]
            assert found(ruled, after="t1", limit=3) == ["t2", "t3", "t4"]
            assert found(ruled, serial) == ["t3"]
            assert found(ruled, serial, part) == []  # mandatory, and not visible
            assert found(both) == ["t0", "t1", "t2", "t3"]
            assert found(both, van) == ["t3"]
            assert found(both, van, part) == []

        await store.read(look)

    async def test_the_policies_of_twins_are_found_by_whom_they_are_for(self, store: Store) -> None:
        names = ("for-b", "for-all", "for-dealers", "for-nobody")
        audiences = (frozenset({"B", "C"}), None, frozenset({"group:dealers"}), frozenset[str]())

        def tx(tx: Tx) -> None:
            for name, audience in zip(names, audiences, strict=True):
                tx.policies.add(replace(records.POLICY_DEFINITION, id=name))
                tx.twins.guard(name, audience)
            assert tx.twins.policies_for("B", ()) == ["for-all", "for-b"]
            assert tx.twins.policies_for(None, {"dealers"}) == ["for-all", "for-dealers"]
            assert tx.twins.policies_for("group:dealers", ()) == tx.twins.policies_for("", ()) == ["for-all"]
            assert all(tx.twins.guards(name) for name in names)
            tx.twins.guard("for-b", frozenset({"C"}))
            tx.policies.delete("for-all")
            assert (tx.twins.policies_for("B", ()), tx.twins.guards("for-all")) == ([], False)

        await store.run(tx)


class TestRepositories:
    @each_kind
    async def test_a_record_can_be_found_counted_and_forgotten(self, store: Store, name: str) -> None:
        record = KINDS[name]
        await store.run(lambda tx: getattr(tx, name).add(record))

        def look(tx: Tx) -> None:
            repository = getattr(tx, name)
            assert repository.find(record.id) == repository.get(record.id) == record
            assert repository.get_many(["nobody", record.id, record.id]) == {record.id: record}
            assert repository.query(QuerySpec()) == [record]
            assert repository.query(QuerySpec(criteria=(Criterion("id", "=", record.id),))) == [record]
            assert repository.query(QuerySpec(criteria=(Criterion(f"{EDC}id", "!=", record.id),))) == []
            assert (repository.count(), repository.count([Criterion("id", "=", "x")])) == (1, 0)

        await store.read(look)
        await store.run(lambda tx: getattr(tx, name).delete(record.id))
        assert await store.read(lambda tx: (getattr(tx, name).find(record.id), getattr(tx, name).count())) == (None, 0)

    @each_kind
    async def test_an_id_is_given_once(self, store: Store, name: str) -> None:
        record = KINDS[name]

        def twice(tx: Tx) -> None:
            getattr(tx, name).add(record)
            with pytest.raises(Conflict, match=f"{record.id} exists already"):
                getattr(tx, name).add(record)

        await store.run(twice)  # and the transaction goes on

    @each_kind
    async def test_what_is_not_there_cannot_be_had_changed_or_deleted(self, store: Store, name: str) -> None:
        record = KINDS[name]

        def look(tx: Tx) -> None:
            repository = getattr(tx, name)
            assert repository.find(record.id) is None
            assert repository.get_many([]) == {}
            for do, what in ((repository.get, record.id), (repository.save, record), (repository.delete, record.id)):
                with pytest.raises(NotFound, match=record.id):
                    do(what)

        await store.run(look)

    async def test_a_saved_record_replaces_the_one_before(self, store: Store) -> None:
        before = records.a_negotiation()
        after = replace(before, peer_pid="other", agreement_id=None, error=None, updated_at=77)
        await store.run(lambda tx: tx.negotiations.add(before))
        await store.run(lambda tx: tx.negotiations.save(after))
        assert await store.read(lambda tx: tx.negotiations.get("n-1")) == after

    async def test_a_process_is_found_by_what_the_peer_calls_it(self, store: Store) -> None:
        await store.run(lambda tx: tx.transfers.add(records.a_transfer()))

        def look(tx: Tx) -> None:
            assert tx.transfers.find_by_peer(records.PEER, "peer-of-t-1") == records.a_transfer()
            assert tx.transfers.find_by_peer("did:web:stranger.example", "peer-of-t-1") is None
            assert tx.negotiations.find_by_peer(records.PEER, "peer-of-t-1") is None

        await store.read(look)

    async def test_a_peer_has_one_process_under_one_pid(self, store: Store) -> None:
        await store.run(lambda tx: tx.negotiations.add(records.a_negotiation()))
        with pytest.raises(Conflict, match="counterparty"):
            await store.run(lambda tx: tx.negotiations.add(records.a_negotiation("n-2", peer_pid="peer-of-n-1")))
        unanswered = [records.a_negotiation(f"n-{i}", peer_pid=None) for i in (3, 4)]
        await store.run(lambda tx: each(tx.negotiations.add, unanswered))
        with pytest.raises(Conflict):
            await store.run(lambda tx: tx.negotiations.save(replace(unanswered[0], peer_pid="peer-of-n-1")))

    async def test_many_records_come_in_one_answer(self, store: Store) -> None:
        await store.run(lambda tx: each(tx.assets.add, (records.asset(f"a-{i}") for i in range(40))))
        wanted = [f"a-{i}" for i in range(39, 0, -2)] + ["nobody"]
        found = await store.read(lambda tx: tx.assets.get_many(wanted))
        assert list(found) == wanted[:-1]
        assert all(found[ident].id == ident for ident in found)


class TestQueries:
    async def test_the_oldest_comes_first_unless_asked_otherwise(self, store: Store) -> None:
        ages = {"n-1": 30, "n-2": 10, "n-3": 20, "n-4": 10}
        await store.run(lambda tx: each(tx.negotiations.add, (records.a_negotiation(i, at) for i, at in ages.items())))

        async def ids(**spec: Any) -> list[str]:
            return [n.id for n in await store.read(lambda tx: tx.negotiations.query(QuerySpec(**spec)))]

        assert await ids() == ["n-2", "n-4", "n-3", "n-1"]
        assert await ids(sort_field="createdAt", descending=True, limit=2) == ["n-1", "n-3"]
        assert await ids(descending=True, offset=3) == ["n-2"]
        assert await ids(sort_field="correlationId") == ["n-1", "n-2", "n-3", "n-4"]
        with pytest.raises(Invalid, match="no field age"):
            await ids(sort_field="age")

    @pytest.mark.parametrize(
        ("left", "operator", "right"),
        [
            ("state", "=", "AGREEING"),
            ("state", "=", 825),
            ("state", "in", ("825", "FINALIZED")),
            ("state", "<", 850),
            (f"{EDC}type", "=", "PROVIDER"),
            ("counterPartyId", "=", records.PEER),
            ("counterPartyAddress", "like", "https://consumer.%"),
            ("counterPartyAddress", "ilike", "HTTPS://CONSUMER.%"),
            ("protocol", "=", "dataspace-protocol-http:2025-1"),
            ("correlationId", "=", "peer-of-n-1"),
            ("contractAgreementId", "=", "agreement-1"),
            ("contractAgreement.id", "=", "agreement-1"),
            ("contractAgreement.assetId", "=", "asset-1"),
            ("assetId", "contains", "asset-1"),
            ("createdAt", "<", 9),
            ("stateTimestamp", "<=", "1"),
            ("id", "not in", ("n-2", "n-3", "n-4")),
        ],
    )
    async def test_negotiations_are_found_by_edc_field_names(
        self, store: Store, left: str, operator: str, right: Right
    ) -> None:
        process = NegotiationProcess(Role.CONSUMER).receive(negotiation.Event.OFFER, "m")
        other = records.a_negotiation(
            *("n-2", 9),
            process=replace(process, state=negotiation.State.TERMINATED),
            offer=replace(records.POLICY, target="asset-2"),
            peer=replace(records.a_negotiation().peer, id="did:web:b", address="http://b"),
            agreement_id=None,
        )
        await store.run(lambda tx: each(tx.negotiations.add, (records.a_negotiation(), other)))
        spec = QuerySpec(criteria=(Criterion(left, operator, right),))
        found = [n.id for n in await store.read(lambda tx: tx.negotiations.query(spec))]
        assert found == (["n-1", "n-2"] if left == "protocol" else ["n-1"])

    async def test_a_missing_value_fulfils_nothing(self, store: Store) -> None:
        await store.run(lambda tx: tx.negotiations.add(records.a_negotiation(agreement_id=None)))
        rights: dict[str, Right] = {"=": "x", "!=": "x", "not in": ("x",), "like": "%"}
        criteria = [Criterion("contractAgreementId", operator, right) for operator, right in rights.items()]
        criteria.append(Criterion("contractAgreementId", "not in", ()))
        assert await store.read(lambda tx: [tx.negotiations.count([c]) for c in criteria]) == [0] * 5

    @pytest.mark.parametrize("probe", ["contractAgreementId", "agreementId", "contractagreementid"])
    async def test_clients_that_probe_transfer_fields_are_told(self, store: Store, probe: str) -> None:
        with pytest.raises(Invalid, match=rf"no field {probe}; it has .*contractId") as told:
            await store.read(lambda tx: tx.transfers.query(QuerySpec(criteria=(Criterion(probe, "=", "a"),))))
        assert told.value.pointer == "/operandLeft"
        assert await store.read(lambda tx: tx.transfers.count([Criterion("contractId", "=", "agreement-1")])) == 0

    async def test_transfers_and_policies_are_found_by_private_properties(self, store: Store) -> None:
        def fill(tx: Tx) -> None:
            tx.transfers.add(records.a_transfer())
            tx.policies.add(records.POLICY_DEFINITION)
            tx.definitions.add(records.definition("d-1"))

        await store.run(fill)

        def look(tx: Tx) -> None:
            order = "privateProperties.order"
            assert tx.transfers.count([Criterion(order, "=", 'four "quoted" two')]) == 1
            assert tx.transfers.count([Criterion(order, "!=", 'four "quoted" two')]) == 0
            assert tx.transfers.count([Criterion("privateProperties.nothing", "!=", "x")]) == 0
            assert tx.policies.count([Criterion(f"privateProperties.'{EDC}team'", "like", "r%")]) == 1
            assert tx.definitions.count([Criterion("privateProperties.'https://x.example/note'", "=", "n")]) == 1
            sort = QuerySpec(sort_field=f"privateProperties.'{EDC}team'")
            assert [p.id for p in tx.policies.query(sort)] == ["p-1"]

        await store.read(look)

    @pytest.mark.parametrize(
        ("left", "operator", "right", "why"),
        [
            ("state", "=", "HAPPY", "a state is one of INITIAL"),
            ("createdAt", "=", "yesterday", "an integer"),
            ("createdAt", "=", 1.5, "an integer"),
            ("createdAt", "=", True, "an integer"),
            ("createdAt", "<", 2**63, "an integer"),
            ("state", "like", "REQ%", "needs a text"),
            ("id", "in", tuple("x" * 5001), "at most 5000"),
        ],
    )
    async def test_unfit_values_are_refused(
        self, store: Store, left: str, operator: str, right: Right, why: str
    ) -> None:
        with pytest.raises(Invalid, match=why):
            await store.read(lambda tx: tx.negotiations.count([Criterion(left, operator, right)]))

    async def test_edrs_are_found_by_negotiation_the_newest_first(self, store: Store) -> None:
        edrs = [records.an_edr("t-1", 1), records.an_edr("t-2", 2), records.an_edr("t-3", 3, "n-2")]
        await store.run(lambda tx: each(tx.edrs.add, edrs))
        spec = QuerySpec(
            limit=10,
            sort_field="createdAt",
            descending=True,
            criteria=(Criterion(f"{EDC}contractNegotiationId", "=", "n-1"),),
        )
        assert [e.id for e in await store.read(lambda tx: tx.edrs.query(spec))] == ["t-2", "t-1"]

    async def test_signing_dates_are_seconds(self, store: Store) -> None:
        signed = records.an_agreement(created_at=5999)
        await store.run(lambda tx: tx.agreements.add(signed))
        assert await store.read(lambda tx: tx.agreements.count([Criterion("contractSigningDate", "=", 5)])) == 1
        assert await store.read(lambda tx: tx.agreements.count([Criterion("retiredAt", ">", 0)])) == 1

    async def test_assets_are_sorted_by_a_property_numbers_by_size(self, store: Store) -> None:
        weight = f"{EDC}grams"
        stock = {"a": 10, "b": 9, "c": "text", "d": {"@value": 100}}
        await store.run(lambda tx: each(tx.assets.add, (records.asset(i, {weight: w}) for i, w in stock.items())))
        await store.run(lambda tx: tx.assets.add(records.asset("e")))

        async def ids(**spec: Any) -> list[str]:
            return [a.id for a in await store.read(lambda tx: tx.assets.query(QuerySpec(**spec)))]

        assert await ids(sort_field="grams") == ["b", "a", "d", "c", "e"]
        assert (await ids(sort_field="grams", descending=True))[:3] == ["d", "a", "b"]
        assert await ids(sort_field="id", descending=True, limit=2) == ["e", "d"]

    async def test_a_changed_asset_is_found_by_what_it_is_now(self, store: Store) -> None:
        name = f"{EDC}name"
        await store.run(lambda tx: tx.assets.add(records.asset(properties={name: "old"})))
        await store.run(lambda tx: tx.assets.save(records.asset(properties={name: "new" * 1000})))
        assert await store.read(lambda tx: tx.assets.count([Criterion("name", "=", "old")])) == 0
        assert await store.read(lambda tx: tx.assets.count([Criterion("name", "=", "new" * 1000)])) == 1
        assert await store.read(lambda tx: tx.assets.count([Criterion("name", "=", "new" * 999)])) == 0


class TestPromises:
    async def test_outbox_and_timers_are_kept_and_told(self, store: Store) -> None:
        told: list[Commit] = []
        store.listen(told.append)
        asset = records.asset()
        event = Happened("asset.created", 1, asset)
        message, timer = records.a_message(), records.TIMER

        def promise(tx: Tx) -> str:
            tx.emit(event)
            tx.send(message)
            tx.set_timer(replace(timer, due_at=1))
            tx.set_timer(timer)
            return "done"

        assert await store.run(promise) == "done"
        assert told == [Commit(events=(event,), messages=(message,), timers=(timer,))]
        assert await store.read(lambda tx: (tx.outbox.get("m-1"), tx.timers.query(QuerySpec()))) == (message, [timer])

    async def test_messages_and_timers_are_taken_back(self, store: Store) -> None:
        await store.run(lambda tx: each(tx.send, (records.a_message(f"m-{i}", f"n-{i % 2}") for i in range(4))))
        await store.run(lambda tx: each(tx.set_timer, (Timer(f"x-{i}", i, "k", f"n-{i % 2}") for i in range(4))))
        told: list[Commit] = []
        store.listen(told.append)

        def change_of_mind(tx: Tx) -> None:
            tx.send(records.a_message("m-5", "n-1"))
            tx.set_timer(Timer("x-5", 5, "k", "n-1"))
            tx.drop_messages("n-1")
            tx.drop_timers("n-1")
            tx.send(records.a_message("m-6", "n-1"))

        await store.run(change_of_mind)
        assert told == [Commit(dropped=("n-1",), messages=(records.a_message("m-6", "n-1"),))]
        left = await store.read(lambda tx: (tx.outbox.query(QuerySpec()), tx.timers.query(QuerySpec())))
        assert [[r.id for r in part] for part in left] == [["m-0", "m-2", "m-6"], ["x-0", "x-2"]]

    async def test_due_messages_are_found_in_order(self, store: Store) -> None:
        due = {"m-1": 30, "m-2": 10, "m-3": 20, "m-4": 99}
        await store.run(lambda tx: each(tx.send, (records.a_message(i, due_at=at) for i, at in due.items())))
        await store.run(lambda tx: tx.outbox.save(records.a_message("m-3", due_at=20, dead=True)))
        spec = QuerySpec(sort_field="dueAt", criteria=(Criterion("dead", "=", False), Criterion("dueAt", "<=", 30)))
        assert [m.id for m in await store.read(lambda tx: tx.outbox.query(spec))] == ["m-2", "m-1"]
        assert await store.read(lambda tx: tx.outbox.count([Criterion("dead", "=", "true")])) == 1

    async def test_nothing_is_told_of_a_transaction_that_failed_or_promised_nothing(self, store: Store) -> None:
        told: list[Commit] = []
        store.listen(told.append)

        def fail(tx: Tx) -> None:
            tx.send(records.a_message())
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await store.run(fail)
        await store.run(lambda tx: tx.secrets.add(records.SECRET))
        assert told == []
        assert await store.read(lambda tx: tx.outbox.count()) == 0

    async def test_listeners_hear_in_commit_order_before_the_caller_goes_on(self, store: Store) -> None:
        heard: list[str] = []
        store.listen(lambda commit: heard.extend(m.id for m in commit.messages))
        committed: list[str] = []

        async def send(ident: str) -> None:
            def fn(tx: Tx) -> None:
                tx.send(records.a_message(ident))
                committed.append(ident)

            await store.run(fn)
            assert ident in heard

        await asyncio.gather(*(send(f"m-{i}") for i in range(50)))
        assert heard == committed
        assert len(heard) == 50

    async def test_a_listener_that_fails_harms_nobody(self, store: Store) -> None:
        loop = asyncio.get_running_loop()
        reported: list[object] = []
        heard: list[Commit] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        store.listen(lambda _: 1 // 0)  # type: ignore[arg-type]
        store.listen(heard.append)
        await store.run(lambda tx: tx.send(records.a_message()))
        assert len(heard) == 1
        assert isinstance(reported[0], ZeroDivisionError)


def _add(tx: Tx, asset: Asset) -> None:
    tx.assets.add(asset)


class TestTransactions:
    async def test_what_a_function_raises_undoes_all_of_it(self, store: Store) -> None:
        def fn(tx: Tx) -> None:
            tx.assets.add(records.asset())
            tx.secrets.add(records.SECRET)
            raise Invalid("no")

        with pytest.raises(Invalid):
            await store.run(fn)
        assert await store.read(lambda tx: (tx.assets.count(), tx.secrets.count())) == (0, 0)

    async def test_thirty_at_once_of_which_ten_fail(self, store: Store) -> None:
        def fn(i: int) -> Callable[[Tx], int]:
            def work(tx: Tx) -> int:
                tx.negotiations.add(records.a_negotiation(f"n-{i}"))
                tx.send(records.a_message(f"m-{i}"))
                if i % 3 == 0:
                    raise Invalid(f"refused {i}")
                return i

            return work

        told: list[str] = []
        store.listen(lambda commit: told.extend(m.id for m in commit.messages))
        results = await asyncio.gather(*(store.run(fn(i)) for i in range(30)), return_exceptions=True)
        for i, result in enumerate(results):
            assert str(result) == f"refused {i}" if i % 3 == 0 else result == i
        kept = await store.read(lambda tx: {n.id for n in tx.negotiations.query(QuerySpec())})
        assert kept == {f"n-{i}" for i in range(30) if i % 3}
        assert told == [f"m-{i}" for i in range(30) if i % 3]

    async def test_reading_sees_what_was_committed_before(self, store: Store) -> None:
        for i in range(20):
            asset = records.asset(f"a-{i}")
            await store.run(partial(_add, asset=asset))
            assert await store.read(lambda tx: tx.assets.count()) == i + 1

    async def test_a_snapshot_cannot_be_written(self, store: Store) -> None:
        writes: list[Callable[[Tx], None]] = [
            lambda tx: tx.assets.add(records.asset()),
            lambda tx: tx.send(records.a_message()),
            lambda tx: tx.drop_messages("n-1"),
        ]
        for write in writes:
            with pytest.raises(LocalError, match="may only read"):
                await store.read(write)
        await store.run(writes[0])

    async def test_even_what_is_no_exception_reaches_its_caller_only(self, store: Store) -> None:
        def leave(_: Tx) -> None:
            raise SystemExit(3)

        def stop(_: Tx) -> None:
            raise StopIteration

        with pytest.raises(SystemExit):
            await store.run(leave)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await store.read(stop)
        assert await store.run(lambda tx: tx.assets.count()) == 0

    async def test_a_caller_that_gives_up_does_not_disturb_the_others(self, store: Store) -> None:
        task = asyncio.create_task(store.run(lambda tx: tx.assets.add(records.asset())))
        await asyncio.sleep(0)
        task.cancel()
        await store.run(lambda tx: tx.secrets.add(records.SECRET))
        assert await store.read(lambda tx: tx.assets.count()) == 1

    async def test_a_closed_store_says_so(self, store: Store) -> None:
        running = asyncio.create_task(store.run(lambda tx: tx.assets.add(records.asset())))
        await asyncio.sleep(0)
        await store.close()
        await running
        with pytest.raises(LocalError, match="closed") as refused:
            await store.run(lambda tx: tx.assets.count())
        assert refused.value.status == 503
        await store.close()


class TestOffers:
    async def test_the_audience_decides_who_sees_an_offer(self, store: Store) -> None:
        def publish(tx: Tx) -> None:
            tx.assets.add(records.asset())
            tx.offers.put_asset(records.asset())
            for ident, audience in (("all", None), ("one", frozenset({"BPNL1"})), ("nobody", frozenset[str]())):
                definition = records.definition(ident, Criterion(f"'{records.TYPE}'.'@id'", "=", records.BUNDLE))
                tx.definitions.add(definition)
                tx.offers.put_definition(definition, audience)

        await store.run(publish)

        async def seen(bpn: str | None) -> list[str]:
            page = await store.read(lambda tx: tx.offers.page(bpn, limit=10))
            return [d.id for offering in page for d in offering.definitions]

        assert await seen("BPNL1") == ["all", "one"]
        assert await seen("BPNL2") == await seen(None) == await seen("*") == ["all"]
        await store.run(lambda tx: tx.offers.drop_definition("all"))
        assert await seen("BPNL2") == []
        await store.run(lambda tx: tx.definitions.delete("one"))
        assert await seen("BPNL1") == []
        assert await store.read(lambda tx: tx.offers.find("asset-1", "BPNL1")) is None
        assert await store.read(lambda tx: tx.offers.find("nothing", "BPNL1")) is None

    async def test_an_offer_for_a_group_is_seen_by_its_members_only(self, store: Store) -> None:
        def publish(tx: Tx) -> None:
            tx.assets.add(records.asset())
            tx.offers.put_asset(records.asset())
            for ident, audience in (("gold", frozenset({"group:gold"})), ("one", frozenset({"BPNL1", "group:lead"}))):
                tx.definitions.add(records.definition(ident))
                tx.offers.put_definition(records.definition(ident), audience)

        await store.run(publish)

        async def seen(bpn: str | None, *groups: str) -> list[str]:
            page = await store.read(lambda tx: tx.offers.page(bpn, groups=groups, limit=10))
            found = await store.read(lambda tx: tx.offers.find("asset-1", bpn, groups))
            assert page == ([] if found is None else [found])
            return [d.id for offering in page for d in offering.definitions]

        assert await seen("BPNL1", "gold", "lead", "none") == ["gold", "one"]
        assert await seen("BPNL2", "gold") == await seen(None, "gold") == ["gold"]
        assert await seen("BPNL1") == await seen(None, "lead") == ["one"]
        assert await seen("group:gold") == await seen("gold") == await seen("BPNL2", "group:gold") == []

    @pytest.mark.parametrize("asset_first", [True, False])
    @pytest.mark.parametrize(
        "selector",
        [
            (),
            (Criterion("id", "=", "asset-1"),),
            (Criterion("weight", "<", 8), Criterion("asset:prop:id", "in", ("asset-1", "asset-9"))),
            (Criterion("weight", "=", "7"), Criterion(f"'{records.TYPE}'.'@id'", "in", (records.BUNDLE,))),
            (Criterion(records.TYPE, "like", "%#Submodel%"),),
            (Criterion("weight", "contains", 7), Criterion("id", "!=", "asset-2")),
        ],
    )
    async def test_an_offer_arises_whichever_is_published_first(
        self, store: Store, selector: tuple[Criterion, ...], asset_first: bool
    ) -> None:
        def definition(tx: Tx) -> None:
            tx.definitions.add(records.definition("d", *selector))
            tx.offers.put_definition(records.definition("d", *selector), frozenset({"BPNL1"}))

        def assets(tx: Tx) -> None:
            for asset in (records.asset(), records.asset("asset-2", {f"{EDC}name": "other"})):
                tx.assets.add(asset)
                tx.offers.put_asset(asset)

        for publish in (assets, definition) if asset_first else (definition, assets):
            await store.run(publish)
        page = await store.read(lambda tx: tx.offers.page("BPNL1", limit=10))
        assert [o.asset.id for o in page] == (["asset-1"] if selector else ["asset-1", "asset-2"])

    async def test_private_properties_select_but_cannot_be_asked_for(self, store: Store) -> None:
        owner = Criterion("privateProperties.owner", "=", "Müller")

        def publish(tx: Tx) -> None:
            definition = records.definition("d", owner)
            tx.definitions.add(definition)
            tx.offers.put_definition(definition, None)
            tx.assets.add(records.asset())
            tx.offers.put_asset(records.asset())

        await store.run(publish)
        assert len(await store.read(lambda tx: tx.offers.page(None, limit=10))) == 1
        assert await store.read(lambda tx: tx.offers.page(None, limit=10, criteria=[owner])) == []
        assert await store.read(lambda tx: tx.assets.count([owner])) == 1

    async def test_indexing_comes_after_keeping(self, store: Store) -> None:
        with pytest.raises(NotFound, match="keep it first"):
            await store.run(lambda tx: tx.offers.put_asset(records.asset()))
        with pytest.raises(NotFound, match="keep it first"):
            await store.run(lambda tx: tx.offers.put_definition(records.definition("d"), None))

    async def test_a_cursor_is_never_given_twice(self, store: Store) -> None:
        def publish(tx: Tx, ident: str) -> int:
            tx.assets.add(records.asset(ident))
            tx.offers.put_asset(records.asset(ident))
            found = tx.offers.find(ident, None)
            assert found is not None
            return found.cursor

        def offer(tx: Tx) -> None:
            tx.definitions.add(records.definition("d"))
            tx.offers.put_definition(records.definition("d"), None)

        await store.run(offer)
        first = await store.run(lambda tx: publish(tx, "a"))
        await store.run(lambda tx: tx.assets.delete("a"))
        assert await store.run(lambda tx: publish(tx, "b")) > first
