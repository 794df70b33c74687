"""Schemas derived from the published models against the schemas published with them: not one verdict differs.

Skipped where the published models are not at hand. The judge is the official schema: asked through jsonschema-rs for
every edit, with and without `format`, and through jsonschema, the reference, for a part of them.
"""

import json
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft4Validator

from connector.semantics.registry import compiled
from connector.semantics.samm.schemas import aspect_schema
from connector.semantics.validation import faults_by, valid_by
from tests.conformance.payload_edits import ECMA_TEXTS, edits
from tests.conftest import SHARED_DATA

MODELS = sorted((SHARED_DATA / "samm").glob("*/*/gen/*-schema.json"))
URN = "x-samm-aspect-model-urn"
REFERENCE_EDITS = 120
"""Edits per model that jsonschema is asked about; it needs ten milliseconds for a battery passport."""

UNSOUND = {
    # the published example has a time stamp without zone where the pattern wants one, or only a date
    "io.catenax.batch": ("manufacturingInformation", "date"),
    "io.catenax.serial_part": ("manufacturingInformation", "date"),
}

needs_models = pytest.mark.skipif(not MODELS, reason="the published models are not at ../shared/data/samm")
each_model = pytest.mark.parametrize("file", MODELS, ids=lambda file: "/".join(file.parts[-4:-2]))


@cache
def official(file: Path) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(file.read_bytes())
    return schema


@cache
def ours(file: Path) -> dict[str, Any]:
    return aspect_schema(file.parent.parent, official(file)[URN])


def example(file: Path) -> dict[str, Any]:
    """The published example, or where that breaks its own schema, the example with a sound date."""
    payload: dict[str, Any] = json.loads(file.with_name(file.name.replace("-schema.json", ".json")).read_bytes())
    if way := UNSOUND.get(file.parts[-4]):
        payload[way[0]][way[1]] += "Z"
    return payload


@needs_models
def test_there_are_models_of_every_size() -> None:
    assert len(MODELS) >= 16
    assert {"io.catenax.battery.battery_pass", "io.catenax.pcf"} <= {file.parts[-4] for file in MODELS}


@each_model
def test_official_example_is_accepted(file: Path) -> None:
    payload = example(file)
    assert Draft4Validator(official(file)).is_valid(payload)
    assert faults_by(compiled(ours(file), "it"), payload) == ()


@pytest.mark.parametrize("name", UNSOUND)
def test_example_that_breaks_its_own_schema_is_refused_there_and_here_at_the_same_place(name: str) -> None:
    for file in (file for file in MODELS if file.parts[-4] == name):
        payload = json.loads(file.with_name(file.name.replace("-schema.json", ".json")).read_bytes())
        (fault,) = faults_by(compiled(ours(file), "it"), payload)
        assert fault.pointer == "/" + "/".join(UNSOUND[name])
        (error,) = Draft4Validator(official(file)).iter_errors(payload)
        assert tuple(error.path) == UNSOUND[name]


@pytest.mark.parametrize("formats", [False, True], ids=["", "formats"])
@each_model
def test_every_single_edit_is_judged_as_the_official_schema_judges_it(file: Path, *, formats: bool) -> None:
    if formats and '"format"' not in file.read_text(encoding="utf-8"):
        return  # the other run has shown it
    here = compiled(ours(file), "it", formats=formats)
    there = jsonschema_rs.validator_for(official(file), validate_formats=formats)
    payload, tally, surprises = example(file), Counter[bool](), []
    for place, change in edits(payload, payload):
        verdict = there.is_valid(payload)
        tally[verdict] += 1
        if valid_by(here, payload) is not verdict:
            surprises.append(f"{place} {change}: {'valid' if verdict else 'refused'} there only")
    assert not surprises, "\n".join(surprises[:40])
    assert tally[False] > tally[True] > 0


@each_model
def test_the_reference_implementation_agrees(file: Path) -> None:
    there, here = Draft4Validator(official(file)), compiled(ours(file), "it")
    payload = example(file)
    every = sum(1 for _ in edits(payload, payload))
    for place, change in islice(edits(payload, payload), 0, None, max(1, every // REFERENCE_EDITS)):
        assert valid_by(here, payload) is there.is_valid(payload), f"{place} {change}"


@pytest.mark.parametrize(
    ("pattern", "text", "python", "ecma"),
    [
        (r"^\d{4}-\d{2}-\d{2}$", "2026-01-01\n", True, False),
        (r"^\d{2}$", "\u0661\u0662", True, False),
        (r"^\w+$", "Gr\u00f6\u00dfe", True, False),
        (r"^\s$", "\ufeff", False, True),
        (r"^[A-Z]{2}$", "DE", True, True),
    ],
)
def test_a_pattern_is_read_as_ecma_does_where_python_differs(
    pattern: str, text: str, *, python: bool, ecma: bool
) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert Draft4Validator(schema).is_valid(text) is python
    assert valid_by(compiled(schema, "it"), text) is ecma


@each_model
def test_such_texts_are_judged_by_our_schema_as_by_the_official_one(file: Path) -> None:
    there = jsonschema_rs.validator_for(official(file), validate_formats=False)
    payload = example(file)
    for key, old in list(payload.items()):
        for text in ECMA_TEXTS:
            payload[key] = text
            assert valid_by(compiled(ours(file), "it"), payload) is there.is_valid(payload), (key, text)
        payload[key] = old
