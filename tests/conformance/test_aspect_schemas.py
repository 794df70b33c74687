"""Our aspect schemas against those published with the models: the same verdict, but for the differences named here.

Skipped where the published models are not at hand. Every difference makes ours stricter, never laxer, and follows
what the model itself says; the published schemas lose it on the way from the model (draft-04, unanchored patterns).
"""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports
from connector.semantics.registry import bundled
from connector.semantics.validation import faults

PUBLISHED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "samm"
Node = Any  # any part of a JSON document


class Model(NamedTuple):
    """One aspect: where its published files are, our example, and where we are stricter on purpose."""

    semantic_id: str
    stem: str
    ours: dict[str, Any]
    stricter: str


MODELS = [
    Model(
        PASSPORT_SEMANTIC_ID,
        "io.catenax.battery.battery_pass/6.1.0/gen/BatteryPass",
        passports()[0],
        # whole numbers are whole; a timestamp is the entire text
        r"/warranty/lifeValue|/expectedYears|/cycles|/fullCycles/value|/time",
    ),
    Model(
        FOOTPRINT_SEMANTIC_ID,
        "io.catenax.pcf/7.0.0/gen/Pcf",
        footprint(),
        # likewise; country codes are the entire text; ids are URIs although formats are not asserted
        r"/version|/created|Start|End|/geographyCountry|/geographyCountrySubdivision|/(company|product)Ids/\d+",
    ),
]
SCALARS = (
    *(None, True, "", "abc", "x" * 100, "x" * 101, "2024-13-45", "2026-01-01T00:00:00Z"),
    *(-1, -0.01, 0, 0.01, 0.99, 1, 1.5, 3, 3.01, 5, 5.01, 100, 100.01, 1e9),  # on and beyond every bound
)


def read(file: Path) -> Node:
    if not file.is_file():
        pytest.skip("the published models are not here (../shared/data)")
    return json.loads(file.read_bytes())


def published(model: Model) -> tuple[jsonschema_rs.Validator, dict[str, Any]]:
    schema = read(PUBLISHED / f"{model.stem}-schema.json")
    return jsonschema_rs.validator_for(schema, validate_formats=False), read(PUBLISHED / f"{model.stem}.json")


def mutations(node: Node, root: Node, place: str = "") -> Iterator[tuple[str, str, Node]]:
    """Spoil every node below in every way, one at a time and in place; each is undone before the next."""
    for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        old, here = node[key], f"{place}/{key}"
        variants: list[Node] = [*SCALARS, [], {}, [1], [{}]]
        if isinstance(old, str):
            variants += [f"{old}x", f"x{old}", f"{old} ", old[:-1], old.lower(), old.upper(), old * 30]
        if isinstance(old, list):
            variants += [[*old, *copy.deepcopy(old)], [*old, {}]]
        for value in variants:
            node[key] = value
            yield here, f"= {str(value)[:60]!r}", root
        node[key] = old
        if isinstance(node, dict):
            members = dict(node)
            del node[key]
            yield here, "deleted", root
            node[f"{key}x"] = old
            yield here, "renamed", root
            node.clear()
            node.update(members)
        yield from mutations(old, root, here)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_published_example_is_valid_here(model: Model) -> None:
    _, example = published(model)
    assert faults(model.semantic_id, example) == ()


@pytest.mark.parametrize("payload", passports(), ids=lambda payload: payload["identification"]["idDmc"])
def test_our_passports_are_valid_there(payload: dict[str, Any]) -> None:
    schema = read(PUBLISHED / f"{MODELS[0].stem}-schema.json")
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(payload)


def test_our_footprint_is_valid_there() -> None:
    schema = read(PUBLISHED / f"{MODELS[1].stem}-schema.json")
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(footprint())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_verdicts_agree_about_every_mutation_but_for_the_named_differences(model: Model) -> None:
    theirs, example = published(model)
    ours = bundled().validator(model.semantic_id)
    tally: Counter[str] = Counter()
    surprises = []
    for payload in (example, copy.deepcopy(model.ours)):
        for place, change, mutated in mutations(payload, payload):
            valid_here, valid_there = ours.is_valid(mutated), theirs.is_valid(mutated)
            tally["all"] += 1
            tally["refused by both"] += not valid_here and not valid_there
            if valid_here == valid_there:
                continue
            tally["stricter here"] += 1
            if valid_here or not re.search(f"({model.stricter})$", place):
                surprises.append(f"{place} {change}: {'valid' if valid_here else 'refused'} here only")
    assert not surprises, "\n".join(surprises[:40])
    assert tally["all"] > 3000
    assert tally["refused by both"] > tally["all"] / 2
    assert tally["stricter here"] < tally["all"] / 20, tally
