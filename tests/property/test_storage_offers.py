"""The offer index gives what evaluating every definition over every asset would give."""

from collections.abc import Sequence
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.exchange.ports import Offering, Store, Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Asset, ContractDefinition
from connector.storage.postgres import PostgresStore
from connector.storage.properties import comparable, fulfils
from connector.storage.sqlite import SqliteStore
from tests.unit.storage_records import each

EDC = "https://w3id.org/edc/v0.0.1/ns/"
KEYS = (f"{EDC}name", "http://purl.org/dc/terms/type", "https://x.example/a.b")
LEFTS = (
    *("name", f"{EDC}name", "'http://purl.org/dc/terms/type'.'@id'", "http://purl.org/dc/terms/type"),
    *("'https://x.example/a.b'", "id", f"{EDC}id", "asset:prop:id", "'https://x.example/a.b'.'https://x.example/c'"),
    "missing",
)
BPNS = ("BPNL1", "BPNL2")
words = st.sampled_from(("a", "A", "ab", "Äb", "äB", "b%", "a_b", "a\\", "1", "2", "10", "true", ""))
scalars = words | st.sampled_from((1, 1.0, 2, 2.5, 10, -1, True, False, 1e20))
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    scalars.map(lambda v: {"@id": v}),
    scalars.map(lambda v: {"@value": v}),
    scalars.map(lambda v: {"https://x.example/c": v}),
)
ids = st.sampled_from([f"asset-{i}" for i in range(5)])
assets = st.builds(
    Asset,
    ids,
    st.just(1),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
    st.dictionaries(st.just(f"{EDC}secret"), scalars, max_size=1),
)
rights = scalars | ids
criteria = st.one_of(
    st.builds(
        Criterion, st.sampled_from(LEFTS), st.sampled_from(("=", "!=", "contains", "<", "<=", ">", ">=")), rights
    ),
    st.builds(
        Criterion, st.sampled_from(LEFTS), st.sampled_from(("in", "not in")), st.lists(rights, max_size=3).map(tuple)
    ),
    st.builds(
        Criterion,
        st.sampled_from(LEFTS),
        st.sampled_from(("like", "ilike")),
        st.sampled_from(("a%", "_b", "%", "Ä%", "asset-_", "b%", "a\\", "", "TRUE")),
    ),
)
selectors = st.lists(
    criteria | st.builds(Criterion, st.just("privateProperties.secret"), st.just("="), scalars), max_size=3
).map(tuple)
audiences = st.none() | st.frozensets(st.sampled_from(BPNS))
Definition = tuple[ContractDefinition, frozenset[str] | None]
definitions = st.tuples(
    st.builds(
        ContractDefinition,
        st.sampled_from([f"d-{i}" for i in range(4)]),
        st.just(1),
        st.just("x"),
        st.just("y"),
        selectors,
    ),
    audiences,
)
steps = st.lists(st.one_of(assets, definitions, ids, st.sampled_from(["d-0", "d-1"])), max_size=16)


def apply(tx: Tx, step: Asset | Definition | str, stock: dict[str, Asset], shelf: dict[str, Definition]) -> None:
    """Publish, change or withdraw, in the index and in two plain dictionaries (whose order is the catalog's)."""
    match step:
        case Asset():
            (tx.assets.save if step.id in stock else tx.assets.add)(step)
            tx.offers.put_asset(step)
            stock[step.id] = step
        case (definition, audience):
            (tx.definitions.save if definition.id in shelf else tx.definitions.add)(definition)
            tx.offers.put_definition(definition, audience)
            shelf[definition.id] = (definition, audience)
        case str() if step in stock:
            tx.offers.drop_asset(step)
            tx.assets.delete(step)
            del stock[step]
        case str() if step in shelf:
            tx.definitions.delete(step)
            tx.offers.drop_definition(step)
            del shelf[step]


def expected(
    stock: dict[str, Asset], shelf: dict[str, Definition], bpn: str | None, wanted: Sequence[Criterion]
) -> list[tuple[str, list[str]]]:
    whole = []
    for asset in stock.values():
        own = comparable(asset)
        offering = sorted(
            definition.id
            for definition, audience in shelf.values()
            if (audience is None or bpn in audience) and all(fulfils(own, c) for c in definition.selector)
        )
        if offering and all(fulfils(own, c) for c in wanted):
            whole.append((asset.id, offering))
    return whole


def page(bpn: str | None, after: int, limit: int, wanted: Sequence[Criterion], tx: Tx) -> list[Offering]:
    return tx.offers.page(bpn, after=after, limit=limit, criteria=wanted)


asked = st.tuples(st.none() | st.sampled_from((*BPNS, "BPNL9", "*")), st.lists(criteria, max_size=2))


async def check_pages(
    store: Store,
    steps: list[Asset | Definition | str],
    asking: tuple[str | None, list[Criterion]],
    limit: int,
    offset: int,
) -> None:
    stock: dict[str, Asset] = {}
    shelf: dict[str, Definition] = {}
    bpn, wanted = asking
    for step in steps:
        await store.run(partial(apply, step=step, stock=stock, shelf=shelf))
    whole = expected(stock, shelf, bpn, wanted)
    found = await store.read(lambda tx: tx.offers.page(bpn, limit=100, criteria=wanted))
    assert [(o.asset.id, [d.id for d in o.definitions]) for o in found] == whole
    assert [o.asset for o in found] == [stock[o.asset.id] for o in found]
    part = await store.read(lambda tx: tx.offers.page(bpn, limit=limit, offset=offset, criteria=wanted))
    assert part == found[offset : offset + limit]
    walked: list[Offering] = []
    while more := await store.read(partial(page, bpn, walked[-1].cursor if walked else 0, limit, wanted)):
        walked += more
    assert walked == found
    unfiltered = dict(expected(stock, shelf, bpn, ()))
    one_by_one = await store.read(lambda tx: {ident: tx.offers.find(ident, bpn) for ident in stock})
    found_ids = {ident: [d.id for d in one.definitions] for ident, one in one_by_one.items() if one is not None}
    assert found_ids == unfiltered


async def check_query(store: Store, stock: list[Asset], wanted: list[Criterion]) -> None:
    await store.run(lambda tx: each(tx.assets.add, stock))
    found = await store.read(lambda tx: tx.assets.query(QuerySpec(criteria=tuple(wanted))))
    assert {a.id for a in found} == {a.id for a in stock if all(fulfils(comparable(a), c) for c in wanted)}
    assert await store.read(lambda tx: tx.assets.count(wanted)) == len(found)


@settings(max_examples=150, deadline=None)
@given(steps=steps, asking=asked, limit=st.integers(1, 4), offset=st.integers(0, 2))
async def test_a_page_is_what_brute_force_finds(
    steps: list[Asset | Definition | str], asking: tuple[str | None, list[Criterion]], limit: int, offset: int
) -> None:
    store = await SqliteStore.open()
    try:
        await check_pages(store, steps, asking, limit, offset)
    finally:
        await store.close()


stocks = st.lists(assets, max_size=5, unique_by=lambda a: a.id)


@settings(max_examples=100, deadline=None)
@given(stock=stocks, wanted=st.lists(criteria, min_size=1, max_size=2))
async def test_a_query_over_properties_says_the_same_as_a_selector(stock: list[Asset], wanted: list[Criterion]) -> None:
    store = await SqliteStore.open()
    try:
        await check_query(store, stock, wanted)
    finally:
        await store.close()


def empty(tx: Tx) -> None:
    for asset in tx.assets.query(QuerySpec()):
        tx.assets.delete(asset.id)
    for definition in tx.definitions.query(QuerySpec()):
        tx.definitions.delete(definition.id)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, asking=asked, stock=stocks, wanted=st.lists(criteria, min_size=1, max_size=2))
async def test_postgresql_says_the_same(
    database: str,
    steps: list[Asset | Definition | str],
    asking: tuple[str | None, list[Criterion]],
    stock: list[Asset],
    wanted: list[Criterion],
) -> None:
    store = await PostgresStore.open(database)
    try:
        await store.run(empty)
        await check_pages(store, steps, asking, 2, 1)
        await store.run(empty)
        await check_query(store, stock, wanted)
    finally:
        await store.close()
