"""The models delivered with the connector: written by us, and of the same structure as the published ones.

Compared are paths, types, enumerations, patterns, bounds and required members, of what the published model says and,
where there is one, of the schema published with it. Skipped where the published models are not at hand; that the
delivered schemas are those of the delivered models is always tested.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports
from connector.semantics.registry import bundled, data_folder
from connector.semantics.samm.schemas import aspect_schema
from tests.conftest import SHARED_DATA

Node = Any  # any part of a JSON document
Structure = dict[str, dict[str, Node]]

PUBLISHED = SHARED_DATA / "samm"
ASPECTS = bundled().semantic_ids
FACTS = (
    *("type", "enum", "pattern", "format", "uniqueItems", "additionalProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems"),
)


def folder_of(urn: str) -> Path:
    _, _, namespace, rest = urn.split(":")
    return Path(namespace) / rest.partition("#")[0]


def structure(schema: dict[str, Any]) -> Structure:
    """What stands where: each path with its facts and the members it requires. References are followed."""
    found: Structure = {}

    def walk(node: dict[str, Any], path: str) -> None:
        for part in node.get("allOf", ()):
            walk(part, path)
        if "$ref" in node:
            walk(schema["components"]["schemas"][node["$ref"].rpartition("/")[2]], path)
            return
        here = found.setdefault(path, {})
        here |= {fact: sorted(map(str, node[fact])) if fact == "enum" else node[fact] for fact in FACTS if fact in node}
        if "required" in node:
            here["required"] = sorted(node["required"])
        for name, member in node.get("properties", {}).items():
            walk(member, f"{path}/{name}")
        if "items" in node:
            walk(node["items"], f"{path}[]")

    walk(schema, "")
    return found


@pytest.mark.parametrize("urn", ASPECTS)
def test_delivered_schema_is_that_of_the_delivered_model(urn: str) -> None:
    derived = aspect_schema(None, urn, roots=(data_folder("schemas"),))
    assert bundled().schema(urn) == derived, f"run: connector schema export --aspect '{urn}' (see schemas/index.json)"


@pytest.mark.parametrize("urn", ASPECTS)
def test_our_model_has_the_structure_of_the_published_one(urn: str) -> None:
    model = PUBLISHED / folder_of(urn)
    if not model.is_dir():
        pytest.skip("the published models are not at ../shared/data/samm")
    theirs, mine = structure(aspect_schema(model, urn)), structure(bundled().schema(urn))
    assert mine.keys() == theirs.keys()
    assert mine == theirs
    for file in (model / "gen").glob("*-schema.json"):
        assert mine == structure(json.loads(file.read_bytes()))


def test_the_battery_passport_has_its_410_paths_with_all_their_flags() -> None:
    found = structure(bundled().schema(PASSPORT_SEMANTIC_ID))
    assert len([path for path in found if path and not path.endswith("[]")]) == 410


@pytest.mark.parametrize("urn", ASPECTS)
def test_our_texts_are_not_theirs(urn: str) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip("the published models are not at ../shared/data/samm")

    def texts(root: Path) -> set[str]:
        lines = [
            line.strip() for file in (root / folder_of(urn)).glob("*.ttl") for line in file.read_text().splitlines()
        ]
        return {line for line in lines if line.startswith("samm:description")}

    assert texts(data_folder("schemas"))
    assert texts(data_folder("schemas")).isdisjoint(texts(PUBLISHED))


PAYLOADS = [(PASSPORT_SEMANTIC_ID, passport) for passport in passports()] + [(FOOTPRINT_SEMANTIC_ID, footprint())]


@pytest.mark.parametrize(("urn", "payload"), PAYLOADS)
def test_our_payloads_are_valid_there(urn: str, payload: dict[str, Any]) -> None:
    for file in (PUBLISHED / folder_of(urn) / "gen").glob("*-schema.json"):
        Draft4Validator(json.loads(file.read_bytes())).validate(payload)
