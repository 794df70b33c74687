"""What changed between two passports."""

import pytest

from connector.passport.diff import changes
from connector.passport.disclosure import class_map
from connector.protocol.errors import Invalid
from tests.unit.passport_world import passport


def test_each_place_is_told_with_its_class() -> None:
    before, after = passport(), passport()
    after["performance"]["dynamic"]["stateOfCharge"]["value"] = 12
    del after["sources"][1]
    after["characteristics"]["warranty"]["note"] = "new"
    assert [(c.kind, c.place, c.disclosure_class) for c in changes(before, after, class_map())] == [
        ("added", "/characteristics/warranty/note", "public-model"),
        ("changed", "/performance/dynamic/stateOfCharge/value", "individual"),
        ("removed", "/sources/1", "commercial.documents"),
    ]


def test_what_came_or_went_as_a_whole_is_told_field_by_field() -> None:
    before, after = passport(), passport()
    del before["commercial"], after["safety"]
    before["operation"] = after["operation"] = {}
    after["new"] = {}
    found = [(c.kind, c.place, c.disclosure_class) for c in changes(before, after, class_map())]
    assert found == [
        ("added", "/commercial/placedOnMarket", "commercial.other"),
        ("added", "/commercial/purpose", "commercial.other"),
        ("added", "/new", None),
        ("removed", "/safety/dismantling", "restricted-model"),
        ("removed", "/safety/meaningOfLabels", "public-model"),
        ("removed", "/safety/removalFromAppliance", "restricted-model"),
        ("removed", "/safety/safeDischarging", "restricted-model"),
        ("removed", "/safety/safetyMeasures", "restricted-model"),
        ("removed", "/safety/usableExtinguishAgent", "public-model"),
    ]


def test_equal_passports_have_no_changes() -> None:
    assert changes(passport(), passport(), class_map()) == []


@pytest.mark.parametrize(
    ("one", "other", "count"), [(1, 1.0, 0), (1, True, 1), (0, False, 1), ([], {}, 1), (None, "", 1)]
)
def test_values_are_compared_as_json_has_them(one: object, other: object, count: int) -> None:
    assert len(changes(one, other, class_map())) == count


def test_what_has_no_end_is_refused() -> None:
    one: list[object] = [1]
    other: list[object] = [2]
    for _ in range(200):
        one, other = [one], [other]
    with pytest.raises(Invalid, match="deeper"):
        changes(one, other, class_map())
