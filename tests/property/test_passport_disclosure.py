"""What leaves is the intersection of lattice, agreement and schema: for every attribute and every audience."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.identity.did import did_document, keys_in
from connector.passport import credential, sdjwt
from connector.passport.audiences import Reading, lattice
from connector.passport.credential import Credential
from connector.passport.disclosure import assemble, class_map
from connector.passport.views import view_faults
from connector.semantics.registry import bundled
from tests.unit.passport_world import KEY, MAKER, PASSPORT_ID, about, passport, salts

MAP, LATTICE = class_map(), lattice()
FIELDS = MAP.split(passport()).fields
KEYS = keys_in(did_document(MAKER, [KEY]))

audiences = st.sampled_from([*sorted({audience for audience, _ in LATTICE.rules}), "king", ""])
purposes = st.sampled_from([*sorted({purpose for _, purpose in LATTICE.rules}), "cx.circular.dpp:1", "cx.", "other"])
agreed = st.none() | st.frozensets(st.sampled_from([*MAP.classes, "no-such-class"]))
batteries = st.sampled_from([None, PASSPORT_ID, "urn:uuid:another"])
readings = st.builds(Reading, audiences, purposes, batteries, agreed)
presences = st.frozensets(st.sampled_from(sorted(FIELDS)))
"""Passports with any of the attributes."""
strangers = st.dictionaries(
    st.sampled_from(["extra", "recipe", "materials", "safety"]), st.sampled_from([1, "x", {"a": 1}, {"composition": 1}])
)


def naive(reading: Reading) -> set[str]:
    """The table read once more, in another way: class by class."""
    allowed = {"public-model"}
    for name in MAP.classes:
        for (audience, purpose), rule in LATTICE.rules.items():
            fits = purpose == reading.purpose or (purpose.endswith("*") and reading.purpose.startswith(purpose[:-1]))
            here = reading.battery == PASSPORT_ID or (reading.battery is None and not rule.one_battery)
            by_contract = reading.classes is not None and name in reading.classes
            if audience == reading.audience and fits and here:
                law = name in rule.classes and (reading.classes is None or by_contract)
                if law or (name in rule.by_contract and by_contract):
                    allowed.add(name)
    return allowed


@given(readings)
def test_the_classes_are_those_of_the_table_and_the_contract(reading: Reading) -> None:
    assert LATTICE.classes(reading, PASSPORT_ID) == naive(reading)


@given(readings, presences, strangers)
def test_no_attribute_outside_the_intersection_is_in_a_view(
    reading: Reading, present: frozenset[str], more: dict[str, Any]
) -> None:
    doc = more | assemble({place: FIELDS[place] for place in present})
    classes = LATTICE.classes(reading, PASSPORT_ID)
    seen = MAP.split(MAP.project(doc, classes))
    assert seen.unknown == ()
    for place in FIELDS:
        is_there = place in MAP.split(doc).fields
        assert (place in seen.fields) is (is_there and MAP.class_of(place) in naive(reading)), place


@given(readings)
def test_a_view_of_a_valid_passport_fits_the_schema_of_its_reader(reading: Reading) -> None:
    classes = LATTICE.classes(reading, PASSPORT_ID)
    assert view_faults(MAP.aspect, MAP.project(passport(), classes), classes, bundled()) == ()


@settings(max_examples=30)
@given(readings, presences)
def test_a_presentation_shows_exactly_the_view(reading: Reading, present: frozenset[str]) -> None:
    fields = {place: FIELDS[place] for place in sorted(present)}
    made = credential.issue(about(), fields, MAP, KEY, salts())
    classes = LATTICE.classes(reading, PASSPORT_ID)
    shown = credential.present(made, MAP, classes)
    found = Credential.read(shown.text, KEYS)
    assert found.passport == MAP.project(assemble(fields), classes)
    assert {s.place for s in found.shown} == {p for p in present if MAP.class_of(p) in naive(reading)}
    for encoded in shown.disclosures:
        assert MAP.class_of(next(iter(sdjwt.Disclosure.parse(encoded).value))) in naive(reading)


@given(presences, readings, readings)
def test_more_classes_never_show_less(present: frozenset[str], one: Reading, other: Reading) -> None:
    doc = assemble({place: FIELDS[place] for place in present})
    first, second = (LATTICE.classes(reading, PASSPORT_ID) for reading in (one, other))
    both = MAP.split(MAP.project(doc, first & second)).fields.keys()
    assert both == MAP.split(MAP.project(doc, first)).fields.keys() & MAP.split(MAP.project(doc, second)).fields.keys()
