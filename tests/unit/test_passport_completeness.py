"""What a passport must have, by category and date."""

import json
from datetime import date
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


def state(category: str, number: int, day: date) -> Due:
    row = next(row for row in TABLE.rows if row.number == number)
    return row.required[category].on(day)


def test_the_examples_are_complete() -> None:
    for passport in passports():
        found = TABLE.judge(passport, TODAY)
        assert found.missing == ()
        assert found.category == passport["identification"]["category"]


def test_recycled_content_is_due_in_august_2028_and_for_pedelecs_five_years_later() -> None:
    assert state("EV", RECYCLED, date(2028, 8, 17)) is Due.NOT_YET_DUE
    assert state("EV", RECYCLED, date(2028, 8, 18)) is Due.MANDATORY
    assert state("LMT", RECYCLED, date(2028, 8, 18)) is Due.NOT_YET_DUE
    assert state("LMT", RECYCLED, date(2033, 8, 18)) is Due.MANDATORY


def test_what_has_no_date_yet_is_never_due() -> None:
    """The method for the footprint of car batteries is not adopted (Art. 7)."""
    assert state("EV", 23, date(2099, 1, 1)) is Due.NOT_YET_DUE


def test_due_diligence_is_due_when_the_postponed_duty_begins() -> None:
    """Regulation (EU) 2025/1561."""
    assert state("EV", 19, date(2027, 8, 17)) is Due.NOT_YET_DUE
    assert state("EV", 19, date(2027, 8, 18)) is Due.MANDATORY


def test_a_capacity_threshold_is_asked_of_cars_only() -> None:
    assert state("EV", 35, TODAY) is Due.MANDATORY
    assert state("LMT", 35, TODAY) is Due.OPTIONAL


def test_what_is_filled_before_it_is_due_is_told() -> None:
    early = {point.row.number for point in TABLE.judge(passports()[0], TODAY).early}
    assert {19, 23, RECYCLED} <= early
    assert RECYCLED not in {point.row.number for point in TABLE.judge(passports()[0], date(2029, 1, 1)).early}


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
