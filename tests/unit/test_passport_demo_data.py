"""The example payloads: valid, complete, and consistent in themselves."""

import math
from typing import Any

import pytest

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports, tampered
from connector.semantics.registry import bundled
from connector.semantics.validation import Fault, faults

Node = Any  # any part of a JSON document
PASSPORTS = {passport["identification"]["idDmc"]: passport for passport in passports()}


def schema_members(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the members that a schema knows, references and allOf followed."""
    while "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    members = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        members |= schema_members(part, root)
    return members


def uncovered(value: Node, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """Return what differs between the members of a value and those its schema knows, both ways."""
    while "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [gap for item in value for gap in uncovered(item, schema["items"], root, f"{place}/*")]
    if not isinstance(value, dict):
        return []
    known = schema_members(schema, root)
    gaps = [f"{place}/{name}" for name in known.keys() ^ value.keys()]
    return gaps + [
        gap
        for name in known.keys() & value.keys()
        for gap in uncovered(value[name], known[name], root, f"{place}/{name}")
    ]


@pytest.mark.parametrize("passport", PASSPORTS.values(), ids=PASSPORTS)
def test_passport_is_valid(passport: dict[str, Any]) -> None:
    assert faults(PASSPORT_SEMANTIC_ID, passport) == ()


@pytest.mark.parametrize("passport", PASSPORTS.values(), ids=PASSPORTS)
def test_passport_fills_every_member_of_the_model_and_no_other(passport: dict[str, Any]) -> None:
    schema = bundled().schema(PASSPORT_SEMANTIC_ID)
    assert uncovered(passport, schema, schema) == []


def test_footprint_is_valid_and_complete() -> None:
    schema = bundled().schema(FOOTPRINT_SEMANTIC_ID)
    assert faults(FOOTPRINT_SEMANTIC_ID, footprint()) == ()
    assert uncovered(footprint(), schema, schema) == []


def test_passports_are_two_of_nmc811_and_one_of_lfp_in_two_categories() -> None:
    kinds = [(p["identification"]["category"], p["identification"]["chemistry"]) for p in passports()]
    assert [category for category, _ in kinds] == ["EV", "LMT", "EV"]
    assert [("NMC811" in chemistry, "LFP" in chemistry) for _, chemistry in kinds] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_passports_are_different_batteries() -> None:
    for path in (("metadata", "passportIdentifier"), ("identification", "idDmc"), ("metadata", "economicOperatorId")):
        assert len({passport[path[0]][path[1]] for passport in passports()}) == 3


@pytest.mark.parametrize("passport", PASSPORTS.values(), ids=PASSPORTS)
def test_four_stages_add_up_to_the_whole_footprint(passport: dict[str, Any]) -> None:
    *stages, whole = passport["sustainability"]["carbonFootprint"]
    assert len(stages) == 4
    assert whole["lifecycle"] == "all stages"
    assert math.isclose(sum(stage["value"] for stage in stages), whole["value"])


@pytest.mark.parametrize("passport", PASSPORTS.values(), ids=PASSPORTS)
def test_numbers_of_a_battery_fit_together(passport: dict[str, Any]) -> None:
    rated, dynamic = passport["performance"]["rated"], passport["performance"]["dynamic"]
    voltage = rated["voltage"]
    assert voltage["min"] < voltage["nominal"] < voltage["max"]
    assert math.isclose(rated["energy"]["value"], voltage["nominal"] * rated["capacity"]["value"] / 1000, rel_tol=0.01)
    assert 95 < sum(part["concentration"] for part in passport["materials"]["composition"]) <= 100
    assert math.isclose(
        dynamic["energy"]["soce"]["value"],
        100 * dynamic["energy"]["remaining"]["value"] / rated["energy"]["value"],
        abs_tol=0.01,
    )
    dates = [
        passport["operation"]["manufacturer"]["manufacturingDate"],
        passport["metadata"]["issueDate"],
        passport["commercial"]["placedOnMarket"],
        passport["operation"]["intoServiceDate"],
        passport["metadata"]["lastModification"],
        passport["metadata"]["expirationDate"],
    ]
    assert dates == sorted(dates)


def test_footprint_with_biogenic_carbon_is_the_sum_of_its_parts() -> None:
    pcf = footprint()["pcf"]
    parts = ("fossilGhgEmissions", "biogenicCarbonEmissionsOtherThanCO2", "biogenicCarbonWithdrawal")
    land = ("dlucGhgEmissions", "extTFS_luGhgEmissions", "aircraftGhgEmissions")
    assert math.isclose(sum(pcf[name] for name in parts + land), pcf["pcfIncludingBiogenic"])


def test_tampering_is_found_at_the_place_it_names() -> None:
    passport, place = tampered()
    assert faults(PASSPORT_SEMANTIC_ID, passport) == (Fault(place, "'0.0348 kg CO2 / kWh' is not a number"),)


def test_callers_get_their_own_copy() -> None:
    passports()[0].clear()
    footprint().clear()
    assert passports()[0]
    assert footprint()
