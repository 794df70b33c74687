"""The lattice: Regulation (EU) 2023/1542, Art. 77(2), as data."""

from itertools import permutations

import pytest

from connector.passport.audiences import EVERYBODY, Lattice, Reading, lattice
from connector.passport.disclosure import COMMERCIAL, class_map
from connector.protocol.errors import Invalid
from tests.unit.passport_world import AUTHORITY, PARTNER, PASSPORT_ID, RECYCLER


def classes(reading: Reading) -> frozenset[str]:
    return lattice().classes(reading, PASSPORT_ID)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (EVERYBODY, {"public-model"}),
        (RECYCLER, {"public-model", "restricted-model", "individual"}),
        (AUTHORITY, {"public-model", "restricted-model", "conformity"}),
        (Reading("interest", "market-participation", PASSPORT_ID), {"public-model", "individual"}),
        (PARTNER, {"public-model", "restricted-model", "conformity", "individual"}),
        (Reading("partner", "cx.circular.dpp:1", classes=frozenset({"conformity"})), {"public-model", "conformity"}),
        (
            Reading("partner", "cx.pcf.base:1", classes=frozenset({"commercial.recipe"})),
            {"public-model", "commercial.recipe"},
        ),
    ],
)
def test_who_gets_what(reading: Reading, expected: set[str]) -> None:
    assert classes(reading) == expected


def test_it_is_no_ladder() -> None:
    """Neither of authority and recycler has all that the other has."""
    for one, other in permutations((classes(AUTHORITY), classes(RECYCLER))):
        assert one - other


@pytest.mark.parametrize(
    "reading",
    [
        Reading("king", "recycle"),
        Reading("interest", "curiosity"),
        Reading("interest"),
        Reading("authority", "recycle"),
        Reading("partner", "dpp"),
        Reading("interest", "recycle", "urn:uuid:another"),
        Reading("interest", "market-participation"),
        Reading("interest", "market-participation", "urn:uuid:another"),
    ],
)
def test_whoever_is_not_in_the_table_gets_what_everybody_gets(reading: Reading) -> None:
    assert classes(reading) == {"public-model"}


def test_no_audience_has_a_commercial_class_by_itself() -> None:
    for rule in lattice().rules.values():
        assert not any(name.startswith(COMMERCIAL) for name in rule.classes)
    with pytest.raises(Invalid, match="commercial"):
        Lattice.parse({"edition": "1", "audiences": {"a": {"purposes": {"": {"classes": ["commercial.cost"]}}}}})


def test_a_contract_takes_away_and_opens_nothing_that_the_table_does_not() -> None:
    everything = frozenset(class_map().classes)
    for audience, purpose in lattice().rules:
        rule = lattice().rules[audience, purpose]
        named = purpose.replace("*", "x")
        got = classes(Reading(audience, named, PASSPORT_ID, everything))
        assert got == rule.classes | rule.by_contract | {"public-model"}


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (Reading("king"), "known are public, interest:dismantle"),
        (Reading("interest", "market-participation"), "one battery"),
        (Reading("authority", "surveillance", classes=frozenset({"individual"})), "cannot be given individual"),
    ],
)
def test_an_offer_that_the_table_would_cut_is_refused(reading: Reading, reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        lattice().check(reading)


def test_a_table_that_lacks_something_is_refused() -> None:
    docs: list[dict[str, object]] = [{"audiences": {}}, {"edition": "1"}, {"edition": "1", "audiences": {"a": 1}}]
    for doc in docs:
        with pytest.raises(Invalid, match="lacks"):
            Lattice.parse(doc)
