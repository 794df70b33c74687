"""What a passport must have, by category and date."""

import json
import re
from datetime import date, timedelta
from typing import Any

import pytest

from connector.demo_data import passports
from connector.passport.completeness import Due, Requirement, Table, completeness_table
from connector.passport.disclosure import class_map
from connector.protocol.errors import Invalid
from connector.semantics.registry import data_folder

TABLE = completeness_table()
TODAY = date(2026, 11, 22)
RECYCLED = 24
PLACE = re.compile(r"Annex (IV|VI|VII|XIII) |Art\. [0-9]+|Regulation \(EU\)")


def state(category: str, number: int, day: date) -> Due:
    row = next(row for row in TABLE.rows if row.number == number)
    return row.required[category].on(day)


def test_the_examples_are_complete() -> None:
    for passport in passports():
        found = TABLE.judge(passport, TODAY)
        assert found.missing == ()
        assert found.category == passport["identification"]["category"]


DATED = {  # what the regulation gives a day for that no act can move
    (4, "EV"): date(2027, 2, 18),
    (4, "LMT"): date(2027, 2, 18),
    (4, "industrial"): date(2027, 2, 18),
    (19, "EV"): date(2027, 8, 18),
    (19, "LMT"): date(2027, 8, 18),
    (19, "industrial"): date(2027, 8, 18),
    (24, "LMT"): date(2033, 8, 18),
    (30, "LMT"): date(2027, 2, 18),
}
UNDATED = {(23, "EV"), (23, "LMT"), (23, "industrial"), (24, "EV"), (24, "industrial")}


@pytest.mark.parametrize(("point", "since"), DATED.items())
def test_what_has_a_date_is_due_from_that_very_day(point: tuple[int, str], since: date) -> None:
    number, category = point
    assert state(category, number, since - timedelta(days=1)) is Due.NOT_YET_DUE
    assert state(category, number, since) is Due.MANDATORY
    assert state(category, number, since + timedelta(days=1)) is Due.MANDATORY


@pytest.mark.parametrize(("number", "category"), sorted(UNDATED))
def test_what_has_no_date_yet_is_never_due(number: int, category: str) -> None:
    """The acts that Art. 7(1) and Art. 8(1) count from are not adopted."""
    assert state(category, number, date(2099, 1, 1)) is Due.NOT_YET_DUE


def test_every_date_of_the_table_is_one_of_these() -> None:
    waiting = {
        (row.number, category): required.since
        for row in TABLE.rows
        for category, required in row.required.items()
        if required.due is Due.NOT_YET_DUE
    }
    assert waiting == DATED | dict.fromkeys(UNDATED)


def test_whatever_is_due_names_its_legal_place() -> None:
    for row in TABLE.rows:
        voluntary = all(required.due is Due.OPTIONAL for required in row.required.values())
        assert PLACE.search(row.basis) or (voluntary and row.basis.startswith("longlist")), row


@pytest.mark.parametrize(
    ("number", "due"),
    [  # the Commission's guidance on data points 1.0: mandatory, or only if it applies to the battery
        (27, ("mandatory", "mandatory", "mandatory")),
        (35, ("mandatory", "optional", "optional")),
        (39, ("mandatory", "mandatory", "optional")),
        (41, ("optional", "optional", "optional")),
        (42, ("mandatory", "mandatory", "optional")),
        (43, ("mandatory", "mandatory", "mandatory")),
        (45, ("mandatory", "optional", "optional")),
        (47, ("optional", "mandatory", "optional")),
        (48, ("mandatory", "mandatory", "optional")),
        (51, ("optional", "optional", "optional")),
        (53, ("mandatory", "mandatory", "optional")),
    ],
)
def test_what_depends_on_the_battery_is_asked_of_the_categories_that_have_it(number: int, due: tuple[str, ...]) -> None:
    assert tuple(state(category, number, TODAY).value for category in ("EV", "LMT", "industrial")) == due


def test_what_is_filled_before_it_is_due_is_told() -> None:
    early = {point.row.number for point in TABLE.judge(passports()[0], TODAY).early}
    assert {19, 23, RECYCLED} <= early
    assert 19 not in {point.row.number for point in TABLE.judge(passports()[0], date(2027, 8, 18)).early}


@pytest.mark.parametrize("empty", [None, "", "  ", [], {}, [{}], {"a": [""]}])
def test_what_says_nothing_is_missing(empty: Any) -> None:  # noqa: ANN401 - any JSON
    passport = passports()[0]
    passport["safety"]["dismantling"] = empty
    (point,) = TABLE.judge(passport, TODAY).missing
    assert (point.row.name, point.missing) == ("dismantling", ("/safety/dismantling",))


@pytest.mark.parametrize("value", [0, False, 0.0])
def test_zero_and_false_are_answers(value: object) -> None:
    passport = passports()[0]
    passport["performance"]["dynamic"]["selfDischargingRate"] = value
    assert TABLE.judge(passport, TODAY).missing == ()


@pytest.mark.parametrize("category", ["SLI", "portable", "incorporated", None, 3])
def test_batteries_without_a_passport_are_refused(category: object) -> None:
    passport = passports()[0]
    passport["identification"]["category"] = category
    with pytest.raises(Invalid) as refused:
        TABLE.judge(passport, TODAY)
    assert refused.value.pointer == "/identification/category"


@pytest.mark.parametrize("nonsense", [None, [], {"identification": 1}])
def test_what_is_no_passport_is_refused(nonsense: object) -> None:
    with pytest.raises(Invalid):
        TABLE.judge(nonsense, TODAY)


def test_every_field_of_the_table_has_a_class() -> None:
    fields = [place for row in TABLE.rows for place in row.fields]
    known = class_map()
    assert [place for place in fields if place != "/materials/active" and known.class_of(place) is None] == []
    assert len({row.number for row in TABLE.rows}) == len(TABLE.rows)


@pytest.mark.parametrize("value", ["maybe", 1, None, {"mandatory": 3}, {"optional": "2027-01-01"}])
def test_a_requirement_is_one_of_three(value: object) -> None:
    with pytest.raises(Invalid):
        Requirement.parse(value)


def test_a_table_that_lacks_something_is_refused() -> None:
    doc = json.loads((data_folder("policies") / "passport-completeness.json").read_bytes())
    assert Table.parse(doc) == TABLE
    doc["rows"][3]["EV"] = {"mandatory": "soon"}
    with pytest.raises(Invalid, match="lacks"):
        Table.parse(doc)
