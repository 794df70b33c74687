"""What a reader can find out about twins that are not meant for it: nothing, by any way of asking."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.exchange.ports import Tx
from connector.exchange.twins import carry_out
from connector.protocol.errors import PeerError
from connector.storage.sqlite import SqliteStore
from connector.twins.calls import Reply, read_call, write_id
from connector.twins.rules import PUBLIC_NAMES, PUBLIC_READABLE, AccessRule
from connector.twins.shell import AssetLink, RegisteredShell, Shell, SpecificAssetId, Submodel
from connector.twins.visibility import OWNER, Reader, links, seen

NOW = 1_790_000_000_000
BPNS = ("BPNL0000000000A1", "BPNL0000000000B2", "BPNL0000000000C3")
NAMES = ("manufacturerPartId", "partInstanceId", "customerPartId", "van", "globalAssetId")
PUBLISHED = ("manufacturerPartId", "partInstanceId")
VALUES = ("1", "2", "x y", "ü")
GROUPS = ("repairers", "dealers")
POLICIES = ("members", "until-may")
MODELS = ("urn:samm:m:1.0.0#A", "urn:samm:m:1.0.0#B")
SUBJECTS = (*BPNS, PUBLIC_READABLE, *(f"group:{group}" for group in GROUPS))

some_links = st.builds(AssetLink, st.sampled_from(NAMES), st.sampled_from(VALUES))
asset_ids = st.builds(
    SpecificAssetId,
    st.sampled_from(NAMES),
    st.sampled_from(VALUES),
    st.lists(st.sampled_from(SUBJECTS), max_size=3, unique=True).map(tuple),
)


def submodel(name: str, model: str) -> Submodel:
    semantic_id = {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": model}]}
    return Submodel(f"urn:submodel:{name}", {"id": f"urn:submodel:{name}", "semanticId": semantic_id})


@st.composite
def shells(draw: st.DrawFn) -> list[RegisteredShell]:
    names = draw(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=8, unique=True))
    made = [
        Shell(
            f"urn:twin:{name}",
            draw(st.sampled_from([None, "urn:global:1", f"urn:global:{name}"])),
            tuple(draw(st.lists(asset_ids, max_size=4))),
            (submodel(name, draw(st.sampled_from(MODELS))),),
            draw(st.sampled_from([{}, {"idShort": name, "assetKind": "Instance"}, {"assetKind": "Type"}])),
        )
        for name in names
    ]
    policies = st.lists(st.sampled_from(POLICIES), max_size=2, unique=True).map(tuple)
    return [RegisteredShell(shell.id, NOW, shell, draw(policies)) for shell in made]


@st.composite
def rules(draw: st.DrawFn, bpn: str | None) -> AccessRule:
    subject = draw(st.sampled_from([PUBLIC_READABLE, bpn or PUBLIC_READABLE]))
    names = sorted(PUBLIC_NAMES) if subject == PUBLIC_READABLE else NAMES
    return AccessRule(
        "1",
        NOW,
        subject,
        tuple(draw(st.lists(some_links, min_size=1, max_size=2, unique=True))),
        frozenset(draw(st.lists(st.sampled_from(names), max_size=3))),
        frozenset(draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=2))),
    )


@st.composite
def readers(draw: st.DrawFn) -> Reader:
    bpn = draw(st.sampled_from([None, *BPNS, "BPNL00000STRANGER", PUBLIC_READABLE, "group:dealers"]))
    return Reader(
        bpn,
        groups=frozenset(draw(st.lists(st.sampled_from(GROUPS), max_size=1))),
        policies=frozenset(draw(st.lists(st.sampled_from(POLICIES), max_size=1))),
        rules=tuple(draw(st.lists(rules(bpn if bpn in BPNS else None), max_size=3))),
    )


queries = st.lists(some_links, max_size=3)


# The rules of visibility, in other words than the code's.


def called(reader: Reader) -> set[str]:
    own = {reader.bpn} if reader.bpn in {*BPNS, "BPNL00000STRANGER"} else set()
    return {str(name) for name in own} | {f"group:{group}" for group in reader.groups}


def in_force(kept: RegisteredShell, reader: Reader) -> list[AccessRule]:
    has = {(i.name, i.value) for i in kept.shell.specific_asset_ids} | {("globalAssetId", kept.shell.global_asset_id)}
    return [rule for rule in reader.rules if all((link.name, link.value) in has for link in rule.mandatory)]


def whole(kept: RegisteredShell, reader: Reader) -> bool:
    """Whether somebody let this very reader in, and not everybody."""
    named = any(called(reader) & set(i.subjects) for i in kept.shell.specific_asset_ids)
    by_rule = any(rule.bpn != PUBLIC_READABLE for rule in in_force(kept, reader))
    return named or by_rule or bool(reader.policies & set(kept.policies))


def visible(kept: RegisteredShell, reader: Reader) -> set[AssetLink]:
    found = set()
    for i in kept.shell.specific_asset_ids:
        by_rule = False
        for rule in in_force(kept, reader):
            values = {link.value for link in rule.mandatory if link.name == i.name}
            by_rule |= i.name in rule.names and i.value in (values or {i.value})
            by_rule |= i.name == "globalAssetId" and rule.bpn != PUBLIC_READABLE
        if (
            called(reader) & set(i.subjects)
            or (PUBLIC_READABLE in i.subjects and i.name in PUBLIC_NAMES)
            or (i.name in PUBLISHED and reader.policies & set(kept.policies))
            or by_rule
        ):
            found.add(i.link)
    if whole(kept, reader) and kept.shell.global_asset_id:
        found.add(AssetLink("globalAssetId", kept.shell.global_asset_id))
    return found


def meant_for(kept: RegisteredShell, reader: Reader) -> bool:
    return bool(visible(kept, reader) or whole(kept, reader) or in_force(kept, reader))


def finds(kept: RegisteredShell, reader: Reader, wanted: list[AssetLink]) -> bool:
    return meant_for(kept, reader) and visible(kept, reader).issuperset(wanted)


Told = tuple[int, Any]


class Registry:
    """A registry with these twins, asked like over the wire."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def fill(self, twins: list[RegisteredShell]) -> None:
        for kept in twins:
            self._tx.twins.add(kept)

    def drop(self, ident: str) -> None:
        self._tx.twins.delete(ident)

    def ask(self, reader: Reader, method: str, path: str, query: str = "", body: object = None) -> Told:
        try:
            call = read_call(method, path, query, body, owner=reader.owner)
            reply = carry_out(self._tx, call, reader, NOW)
        except PeerError as error:
            reply = Reply(error.status, error.reason)
        return reply.status, reply.doc

    def walk(
        self, reader: Reader, path: str, limit: int, between: Callable[[], object] = lambda: None, **more: Any
    ) -> list[Any]:
        """All pages."""
        found: list[Any] = []
        cursor = ""
        while True:
            status, doc = self.ask(reader, "POST" if more else "GET", path, f"limit={limit}{cursor}", **more)
            assert status == 200
            assert len(doc["result"]) <= limit
            found += doc["result"]
            if not doc["paging_metadata"]:
                return found
            assert len(doc["result"]) == limit  # a page is not short because of what is hidden
            cursor = f"&cursor={doc['paging_metadata']['cursor']}"
            between()


class Undone(Exception):
    """Ends a transaction that is not to last."""


@pytest.fixture(scope="module")
def registry() -> Iterator[Callable[[Callable[[Registry], None]], None]]:
    """Runs a function on an empty registry, and undoes what it did."""
    with asyncio.Runner() as runner:
        store = runner.run(SqliteStore.open(None))

        def on_empty(do: Callable[[Registry], None]) -> None:
            def tx(tx: Tx) -> None:
                do(Registry(tx))
                raise Undone

            with pytest.raises(Undone):
                runner.run(store.run(tx))

        yield on_empty
        runner.run(store.close())


OnEmpty = Callable[[Callable[[Registry], None]], None]
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(shells(), readers())
def test_a_reader_sees_exactly_the_twins_that_are_meant_for_it(twins: list[RegisteredShell], reader: Reader) -> None:
    for kept in twins:
        assert (seen(kept, reader) is not None) is meant_for(kept, reader)


@given(shells(), readers())
def test_no_other_readers_name_and_no_hidden_id_is_ever_shown(twins: list[RegisteredShell], reader: Reader) -> None:
    for kept in twins:
        shown = seen(kept, reader)
        if shown is None:
            continue
        assert {i.link for i in shown.specific_asset_ids} <= visible(kept, reader)
        for asset_id in shown.specific_asset_ids:
            assert set(asset_id.subjects) <= {reader.bpn, PUBLIC_READABLE}
        if not whole(kept, reader):
            assert (shown.global_asset_id, shown.rest) == (None, {})


@given(shells(), readers())
def test_a_submodel_is_shown_to_the_named_to_everybody_of_a_public_twin_and_as_rules_say(
    twins: list[RegisteredShell], reader: Reader
) -> None:
    for kept in twins:
        ids = kept.shell.specific_asset_ids
        named = any(called(reader) & set(i.subjects) for i in ids) or bool(reader.policies & set(kept.policies))
        public = any(PUBLIC_READABLE in i.subjects and i.name in PUBLIC_NAMES for i in ids)
        models = {model for rule in in_force(kept, reader) for model in rule.semantic_ids}
        shown = seen(kept, reader)
        expected = [s for s in kept.shell.submodels if named or public or models & set(s.semantic_ids)]
        assert list(shown.submodels if shown else ()) == expected


@given(shells(), readers(), queries)
def test_what_is_shown_of_a_twin_is_all_that_it_is_found_by(
    twins: list[RegisteredShell], reader: Reader, wanted: list[AssetLink]
) -> None:
    for kept in twins:
        shown = seen(kept, reader)
        told = set() if shown is None else set(shown.links)
        assert finds(kept, reader, wanted) is (shown is not None and told.issuperset(wanted))


@many
@given(shells(), readers(), queries, st.integers(1, 4))
def test_lists_and_searches_give_what_is_meant_for_the_reader_and_page_by_page_the_same(
    registry: OnEmpty, twins: list[RegisteredShell], reader: Reader, wanted: list[AssetLink], limit: int
) -> None:
    def check(here: Registry) -> None:
        here.fill(twins)
        listed = [doc["id"] for doc in here.walk(reader, "/shell-descriptors", limit)]
        assert listed == sorted(s.id for s in twins if meant_for(s, reader))
        body = [{"name": link.name, "value": link.value} for link in wanted]
        found = here.walk(reader, "/lookup/shellsByAssetLink", limit, body=body)
        assert found == sorted(s.id for s in twins if finds(s, reader, wanted))
        assert here.walk(OWNER, "/shell-descriptors", limit) == [
            kept.shell.to_json() for kept in sorted(twins, key=lambda kept: kept.id)
        ]

    registry(check)


@many
@given(shells(), readers(), queries)
def test_a_registry_answers_as_if_hidden_twins_were_not_there(
    registry: OnEmpty, twins: list[RegisteredShell], reader: Reader, wanted: list[AssetLink]
) -> None:
    """The invariant: two registries that differ in hidden twins only cannot be told apart, whatever is asked."""
    answers: list[list[Told]] = []

    def everything(here: Registry) -> None:
        body = [{"name": link.name, "value": link.value} for link in wanted]
        told = [
            here.ask(reader, "POST", "/lookup/shellsByAssetLink", body=body),
            here.ask(reader, "POST", "/lookup/shellsByAssetLink", "limit=1", body=body),
            *(here.ask(reader, "GET", "/shell-descriptors", query) for query in ("", "limit=1", "assetKind=Instance")),
        ]
        for shell in twins:
            one = f"/shell-descriptors/{write_id(shell.id)}"
            told += [
                *(here.ask(reader, "GET", path) for path in (one, f"{one}/submodel-descriptors")),
                here.ask(reader, "GET", f"{one}/submodel-descriptors/{write_id(shell.shell.submodels[0].id)}"),
                here.ask(reader, "GET", f"/lookup/shells/{write_id(shell.id)}"),
                here.ask(reader, "GET", "/shell-descriptors", f"limit=1&cursor={write_id(shell.id)}"),
            ]
        answers.append(told)

    def all_of_them(here: Registry) -> None:
        here.fill(twins)
        everything(here)

    def only_visible_ones(here: Registry) -> None:
        here.fill([s for s in twins if meant_for(s, reader)])
        everything(here)

    registry(all_of_them)
    registry(only_visible_ones)
    assert answers[0] == answers[1]


@many
@given(shells(), shells(), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 15)), max_size=16))
def test_a_walk_has_every_twin_once_that_is_there_all_the_time(
    registry: OnEmpty, twins: list[RegisteredShell], others: list[RegisteredShell], plan: list[tuple[int, int]]
) -> None:
    reader = Reader(BPNS[0])
    for_me = SpecificAssetId("van", "1", (BPNS[0],))
    staying = [mine(s.id, for_me) for s in twins]
    going = [mine(f"{s.id}-", for_me) for s in others]
    coming = [mine(f"{s.id}+", for_me) for s in others]

    def check(here: Registry) -> None:
        here.fill([*staying, *going])
        steps: list[Callable[[], object]] = [partial(here.drop, s.id) for s in going]
        steps += [partial(here.fill, [s]) for s in coming]

        planned = list(plan)

        def meanwhile() -> None:
            count, which = planned.pop() if planned else (0, 0)
            for _ in range(min(count, len(steps))):
                steps.pop(which % len(steps))()

        walked = [doc["id"] for doc in here.walk(reader, "/shell-descriptors", 2, meanwhile)]
        assert len(walked) == len(set(walked))
        assert {s.id for s in staying} <= set(walked) <= {s.id for s in [*staying, *going, *coming]}

    registry(check)


def mine(ident: str, asset_id: SpecificAssetId) -> RegisteredShell:
    return RegisteredShell(ident, NOW, Shell(ident, None, (asset_id,)))


@given(shells())
def test_every_twin_has_a_link_for_its_owner(twins: list[RegisteredShell]) -> None:
    for kept in twins:
        assert {link for subject, link in links(kept) if subject == ""} >= set(kept.shell.links)
