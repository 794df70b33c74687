"""The lattice: Regulation (EU) 2023/1542, Art. 77(2), as data."""

import json
import re
from itertools import permutations

import pytest

from connector.passport.audiences import AUDIENCES_FILE, EVERYBODY, Lattice, Reading, Terms, lattice
from connector.passport.disclosure import COMMERCIAL, class_map
from connector.policy.circumstances import Circumstances, Counterparty, ProvenCredential
from connector.policy.evaluate import evaluate
from connector.policy.parse import parse_policy
from connector.policy.templates import template_policy, templates
from connector.protocol.errors import Invalid
from connector.semantics.registry import data_folder
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


def test_every_purpose_names_its_legal_place() -> None:
    doc = json.loads((data_folder("policies") / AUDIENCES_FILE).read_bytes())
    rows = [row for entry in doc["audiences"].values() for row in entry["purposes"].values()]
    assert [row for row in rows if not re.search(r"Art\. 77\([0-9]\)", row["basis"])] == []


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


MEMBER, GOVERNANCE, DISMANTLER = (
    ProvenCredential(None, (f"{kind}Credential",), "did:web:authority", {"contractVersion": "1.0"}, None)
    for kind in ("Membership", "DataExchangeGovernance", "Dismantler")
)
NOBODY = Counterparty("did:web:x", None, {})
RECYCLING = Counterparty("did:web:x", "BPNL00000000EXMP", {}, (MEMBER, GOVERNANCE, DISMANTLER))
NO_DISMANTLER = Counterparty("did:web:x", "BPNL00000000EXMP", {}, (MEMBER, GOVERNANCE))
SURVEYING = Counterparty("did:web:x", None, {}, groups=frozenset({"authorities"}))


def let_in(terms: Terms, party: Counterparty) -> bool:
    """Whether both policies of an offer permit a counterparty what they are for."""
    asked = ((terms.access, Circumstances("catalog", party, 0)), (terms.usage, Circumstances("negotiation", party, 0)))
    return all(evaluate(parse_policy(template_policy(name)), at).permitted for name, at in asked)


@pytest.mark.parametrize(
    ("audience", "purpose", "party", "others"),
    [
        ("public", "", NOBODY, ()),
        ("interest", "recycle", RECYCLING, (NOBODY, NO_DISMANTLER, SURVEYING)),
        ("interest", "dismantle", RECYCLING, (NOBODY, NO_DISMANTLER, SURVEYING)),
        ("authority", "surveillance", SURVEYING, (NOBODY, RECYCLING)),
    ],
)
def test_the_ready_terms_of_an_audience_let_it_in_and_nobody_else(
    audience: str, purpose: str, party: Counterparty, others: tuple[Counterparty, ...]
) -> None:
    rule = lattice().rules[audience, purpose]
    assert rule.terms is not None
    assert let_in(rule.terms, party)
    assert [other for other in others if let_in(rule.terms, other)] == []


def test_ready_terms_are_templates_of_that_use_and_only_of_who_can_prove_itself() -> None:
    uses = {template.name: template.use for template in templates()}
    ready = {key: rule.terms for key, rule in lattice().rules.items() if rule.terms is not None}
    assert {audience for audience, _ in ready} == {"public", "interest", "authority"}
    assert {purpose for audience, purpose in ready if audience == "interest"} == {"dismantle", "recycle"}
    for terms in ready.values():
        assert uses[terms.access] in {"access", "both"}
        assert uses[terms.usage] in {"usage", "both"}
