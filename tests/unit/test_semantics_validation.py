"""Faults of a payload: the place as a JSON pointer, the reason in words a person understands."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports
from connector.protocol.errors import Invalid
from connector.semantics.registry import SchemaRegistry
from connector.semantics.validation import MAX_FAULTS, Fault, faults, pointer, quoted, validate

A = "urn:samm:org.example:1.0.0#A"


def judged_by(folder: Path, schema: object) -> Callable[[object], tuple[Fault, ...]]:
    (folder / "index.json").write_text(json.dumps({A: "a.json"}))
    (folder / "a.json").write_text(json.dumps(schema))
    registry = SchemaRegistry(folder)
    return lambda payload: faults(A, payload, registry)


def spoilt(path: str, value: object) -> dict[str, Any]:
    passport = passports()[0]
    *way, last = path.split("/")[1:]
    node: Any = passport
    for step in way:
        node = node[int(step) if isinstance(node, list) else step]
    node[int(last) if isinstance(node, list) else last] = value
    return passport


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("/sustainability/carbonFootprint/0/value", "abc", "'abc' is not a number"),
        ("/sustainability/carbonFootprint/3/value", -0.5, "-0.5 is less than 0"),
        ("/sustainability/carbonFootprint", {}, "an object is not a list"),
        ("/sustainability/carbonFootprint/1", [], "a list is not an object"),
        ("/materials/active/nickel/recycled", 100.5, "100.5 is more than 100"),
        ("/materials/active/nickel/critical", "yes", "'yes' is not true or false"),
        ("/metadata/backupReference", None, "null is not a text"),
        ("/metadata/issueDate", "15.06.2026", "'15.06.2026' does not match the pattern ^\\d{4}-\\d{2}-\\d{2}$"),
        ("/metadata/economicOperatorId", True, "true is not a text"),
        ("/metadata/status", "done", "'done' is not one of 'draft', 'approved', 'invalid', 'expired'"),
        ("/sources/0/header", "x" * 101, f"'{'x' * 40}...' must have at most 100 characters"),
    ],
)
def test_fault_names_place_value_and_expectation(place: str, value: object, message: str) -> None:
    assert faults(PASSPORT_SEMANTIC_ID, spoilt(place, value)) == (Fault(place, message),)


def test_long_choice_is_cut_short() -> None:
    (fault,) = faults(PASSPORT_SEMANTIC_ID, spoilt("/sources/0/category", "Gossip"))
    assert fault.message.startswith("'Gossip' is not one of 'Product Specifications', ")
    assert fault.message.endswith(" and 19 more")


def test_missing_member_is_named_at_its_parent() -> None:
    passport = passports()[0]
    del passport["sustainability"]["carbonFootprint"][2]["unit"]
    del passport["safety"]
    assert faults(PASSPORT_SEMANTIC_ID, passport) == (
        Fault("", "the member 'safety' is missing"),
        Fault("/sustainability/carbonFootprint/2", "the member 'unit' is missing"),
    )
    assert faults(PASSPORT_SEMANTIC_ID, passport)[0].text == "the whole payload: the member 'safety' is missing"


def test_same_entry_twice_in_a_set_is_a_fault() -> None:
    passport = passports()[0]
    serial = passport["identification"]["identification"]["serial"]
    serial.append(serial[0])
    place = "/identification/identification/serial"
    assert faults(PASSPORT_SEMANTIC_ID, passport) == (Fault(place, "the list holds the same entry twice"),)


def test_unknown_members_are_not_faults() -> None:
    assert faults(PASSPORT_SEMANTIC_ID, {**passports()[0], "x-note": {"any": "thing"}}) == ()


def test_validate_raises_the_first_place_and_the_count() -> None:
    report = footprint()
    report["pcf"]["declaredUnit"] = "barrel"
    report["pcf"]["unitaryProductAmount"] = 0
    with pytest.raises(Invalid) as refusal:
        validate(FOOTPRINT_SEMANTIC_ID, report)
    assert refusal.value.pointer == "/pcf/declaredUnit"
    assert "'barrel' is not one of" in refusal.value.reason
    assert refusal.value.reason.endswith("; 2 faults in all")
    del report["pcf"]["declaredUnit"]
    report["pcf"]["unitaryProductAmount"] = 1
    with pytest.raises(Invalid, match=r"'declaredUnit' is missing \(at /pcf\)$"):
        validate(FOOTPRINT_SEMANTIC_ID, report)


def test_validate_lets_a_good_payload_pass() -> None:
    validate(FOOTPRINT_SEMANTIC_ID, footprint())


def test_number_of_faults_is_limited() -> None:
    passport = passports()[0]
    passport["materials"]["composition"] = [{}] * 1000
    assert len(faults(PASSPORT_SEMANTIC_ID, passport)) == MAX_FAULTS
    with pytest.raises(Invalid, match="many more faults"):
        validate(PASSPORT_SEMANTIC_ID, passport)


@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, object(), {1, 2}])
def test_what_is_not_json_is_a_fault_and_no_crash(value: object) -> None:
    assert faults(PASSPORT_SEMANTIC_ID, {"identification": value}) == (
        Fault("", "the payload holds something that is not JSON"),
    )


@pytest.mark.parametrize(
    ("schema", "payload", "message"),
    [
        ({"const": "a"}, "b", "'b' is not 'a'"),
        ({"exclusiveMinimum": 0}, 0, "0 is not more than 0"),
        ({"exclusiveMaximum": 5}, 5, "5 is not less than 5"),
        ({"multipleOf": 3}, 4, "4 is not a multiple of 3"),
        ({"multipleOf": 1}, 7.5, "7.5 is not a whole number"),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            "an object does not fit exactly one of the alternatives",
        ),
        ({"minLength": 1}, "", "'' must have at least 1 character"),
        ({"maxItems": 2}, [1, 2, 3], "a list must have at most 2 entries"),
        ({"minItems": 1}, [], "a list must have at least 1 entry"),
        ({"type": ["string", "null"]}, 1, "1 is not null or a text"),
        ({"properties": {"a": True}, "additionalProperties": False}, {"a": 1, "b": 2}, "unknown member 'b'"),
        ({"properties": {"a": False}}, {"a": {"deep": 1}}, "an object is not allowed here"),
        ({"anyOf": [{"type": "null"}]}, {"s": "secret"}, "an object does not satisfy the schema keyword 'anyOf'"),
        ({"minProperties": 1}, {}, "an object does not satisfy the schema keyword 'minProperties'"),
    ],
)
def test_every_keyword_is_put_into_words(tmp_path: Path, schema: object, payload: object, message: str) -> None:
    (fault,) = judged_by(tmp_path, schema)(payload)
    assert fault.message == message


def test_format_is_asserted_where_the_dialect_says_so(tmp_path: Path) -> None:
    draft7 = {"$schema": "http://json-schema.org/draft-07/schema#", "format": "date"}
    assert judged_by(tmp_path, draft7)("tomorrow") == (Fault("", "'tomorrow' is not a valid date"),)


def test_pointer_escapes_as_rfc_6901_says() -> None:
    assert pointer([]) == ""
    assert pointer(["a/b", 0, "m~n", ""]) == "/a~1b/0/m~0n/"


def test_quoted_never_shows_the_inside_of_objects_and_lists() -> None:
    assert [quoted(value) for value in ({"secret": 1}, ["secret"], None, False, 1.5, "text")] == [
        "an object",
        "a list",
        "null",
        "false",
        "1.5",
        "'text'",
    ]
