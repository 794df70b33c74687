"""jsonschema is the reference: jsonschema-rs, which decides, must say the same of every spoilt payload."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports
from connector.semantics.registry import bundled
from connector.semantics.validation import faults

Node = Any  # any part of a JSON document
PAYLOADS = [(PASSPORT_SEMANTIC_ID, passport) for passport in passports()] + [(FOOTPRINT_SEMANTIC_ID, footprint())]
REFERENCE = {semantic_id: Draft4Validator(bundled().schema(semantic_id)) for semantic_id, _ in PAYLOADS}
replacements: st.SearchStrategy[Node] = (
    st.sampled_from([None, True, False, "", [], {}, [{}], 0, 1, -1, 1.0, 1.5, 100, 101, 1e300, "unit:kilogram", "EV"])
    | st.text("aZ09-:.T/ \u20ac", max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def places(node: Node) -> list[tuple[Node, Node]]:
    """Return (container, key) of every node below."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [(node, key) for key in keys] + [place for key in keys for place in places(node[key])]


def mutate(payload: Node, data: st.DataObject) -> str:
    spots = places(payload)
    container, key = spots[data.draw(st.integers(0, len(spots) - 1))]
    ways = ["delete", "retype", "repeat"] + ["rename"] * isinstance(container, dict)
    match data.draw(st.sampled_from(ways)):
        case "delete":
            del container[key]
        case "retype":
            container[key] = data.draw(replacements)
        case "rename":
            container[f"{key}x"] = container.pop(key)
        case _ if isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
        case _:
            container[key] = [container[key]] * 2
    return str(key)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PAYLOADS), st.integers(1, 3), st.data())
def test_both_validators_agree_about_a_mutated_payload(
    chosen: tuple[str, dict[str, Any]], changes: int, data: st.DataObject
) -> None:
    semantic_id, payload = chosen[0], copy.deepcopy(chosen[1])
    touched = [mutate(payload, data) for _ in range(changes)]
    expected = {(error.json_path, error.validator) for error in REFERENCE[semantic_id].iter_errors(payload)}
    found = faults(semantic_id, payload)
    assert bool(found) is bool(expected), (touched, found, expected)
    assert bundled().validator(semantic_id).is_valid(payload) is not bool(found)


@pytest.mark.parametrize(("semantic_id", "payload"), PAYLOADS)
def test_both_validators_accept_the_unchanged_payload(semantic_id: str, payload: dict[str, Any]) -> None:
    assert faults(semantic_id, payload) == ()
    assert REFERENCE[semantic_id].is_valid(payload)


@pytest.mark.parametrize("semantic_id", bundled().semantic_ids)
def test_delivered_schema_is_a_correct_schema(semantic_id: str) -> None:
    Draft4Validator.check_schema(bundled().schema(semantic_id))
