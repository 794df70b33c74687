"""Our messages, our schemas and the official artefacts of DCP 1.0 say the same."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft201909Validator, Draft202012Validator
from referencing import Registry, Resource

from connector.identity import dcp_messages
from connector.identity.credentials import profile_of
from connector.identity.dcp_messages import CredentialObject
from connector.semantics.registry import data_folder
from tests.unit.test_identity_dcp_messages import MESSAGES, name_of

DCP = Path(__file__).parents[3] / "shared" / "data" / "dcp"
pytestmark = pytest.mark.skipif(not DCP.is_dir(), reason="the official artefacts (../shared/data) are not here")
OURS = json.loads((data_folder("schemas") / "dcp-1.0.json").read_text(encoding="utf-8"))
CONTEXT_IDS = ("https://w3id.org/dspace-dcp/v1.0/common/context-schema.json",)
"""The context schema has another version in its own `$id` than the others refer to."""
FOREIGN = "https://identity.foundation/presentation-exchange/schemas/"


@cache
def official(kind: str) -> Draft201909Validator:
    """The official schema of a message; what it takes from elsewhere is any object."""
    found = {}
    for path in DCP.glob("*/*-schema.json"):
        doc = json.loads(path.read_text(encoding="utf-8"))
        found[doc["title"]] = doc
    resources: list[tuple[str, Resource[Any]]] = [(doc["$id"], Resource.from_contents(doc)) for doc in found.values()]
    resources += [(ident, Resource.from_contents(found["ContextSchema"])) for ident in CONTEXT_IDS]
    anything = Resource.from_contents({"$schema": "https://json-schema.org/draft/2019-09/schema"})
    submission = Resource.from_contents(
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "properties": {"presentation_submission": {"type": "object"}},
        }
    )
    resources += [
        (f"{FOREIGN}presentation-definition.json", anything),
        (f"{FOREIGN}presentation-submission.json", submission),
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft201909Validator(found[f"{kind}Schema"], registry=registry)


@cache
def ours(kind: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": OURS["$defs"]})


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(DCP.glob("*/example/*.json")):
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


EXAMPLES = dict(examples())
READERS: dict[str, Any] = {type(message).TYPE: type(message) for message in MESSAGES}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 11


def test_our_schema_is_one() -> None:
    Draft202012Validator.check_schema(OURS)
    assert {entry["$ref"].rpartition("/")[2] for entry in OURS["oneOf"]} == set(READERS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_official_example_is_read_and_fits_both_schemas(name: str) -> None:
    doc = EXAMPLES[name]
    if doc["type"] == CredentialObject.TYPE:
        CredentialObject.parse(doc, "")
    else:
        READERS[doc["type"]].parse(doc)
    assert [error.message for error in official(doc["type"]).iter_errors(doc)] == []
    assert [error.message for error in ours(doc["type"]).iter_errors(doc)] == []


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_each_message_of_ours_fits_both_schemas(message: Any) -> None:  # noqa: ANN401 - any message
    doc = message.to_json()
    assert [error.message for error in official(message.TYPE).iter_errors(doc)] == []
    assert [error.message for error in ours(message.TYPE).iter_errors(doc)] == []
    assert Draft202012Validator(OURS).is_valid(doc)


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_what_the_official_schema_refuses_ours_refuses_too(message: Any) -> None:  # noqa: ANN401 - any message
    """One member taken out or made something else, each in its turn."""
    doc = message.to_json()
    refused = 0
    for member in doc:
        for broken in ({k: v for k, v in doc.items() if k != member}, doc | {member: 17}, doc | {member: [17]}):
            if not official(message.TYPE).is_valid(broken):
                refused += 1
                assert not ours(message.TYPE).is_valid(broken), broken
    assert refused


def test_the_context_is_the_official_one_and_defines_what_we_write() -> None:
    context = json.loads((DCP / "context" / "dcp.jsonld").read_text(encoding="utf-8"))["@context"]
    for kind, reader in READERS.items():
        assert kind in context
        terms = context[kind]["@context"]
        written = {key for m in MESSAGES if type(m) is reader for key in m.to_json()} - {"@context", "type"}
        assert written <= terms.keys(), kind
        for term in written:
            where = terms[term]["@id"] if isinstance(terms[term], dict) else terms[term]
            assert where.startswith(("dcp:", "cred:", dcp_messages.NAMESPACE, "http")), where


def test_the_profiles_of_the_examples_are_known() -> None:
    profiles = {c["profile"] for doc in EXAMPLES.values() for c in [doc, *_objects(doc)] if "profile" in c}
    assert profiles
    assert None not in map(profile_of, profiles)


def _objects(doc: dict[str, Any]) -> list[dict[str, Any]]:
    return [c for key in ("credentials", "credentialsSupported") for c in doc.get(key, []) if isinstance(c, dict)]
