"""Every operation of every OpenAPI file, with requests that fit its schema and requests that do not.

Whatever comes: an answer within seconds that the file promises, never a failure of our own, and nothing in the log that
nobody expected. `FuzzedNode.assert_sound` looks at the node when all is over.
"""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.fuzz_world import EXAMPLES, PATIENCE_S, FuzzedNode, Known, bounded
from tests.fuzz.surfaces import Operation, document, named, operations, process
from tests.integration.dsp_world import KEY, THEM, mock_token

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
"""Hypothesis notices the node, which draws its jitter on the other thread."""
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
GATEWAY = {502, 503, 504}
"""The only failures that an answer may tell of: a counterparty's, or that we are busy."""
ATTACKS = [
    pytest.param(operation, mode, id=f"{operation} {name}")
    for operation in operations()
    if operation.surface != "dcp"  # no wallet without DCP: see tests/property/test_identity_credentials.py
    for mode, name in ((GenerationMode.POSITIVE, "fitting"), (GenerationMode.NEGATIVE, "unfitting"))
    if mode is GenerationMode.POSITIVE or operation.can_be_misused
]


def base(fuzzed: FuzzedNode, surface: str) -> str:
    match surface:
        case "management":
            return fuzzed.management
        case "twins":
            return fuzzed.world.running.management.url
        case _:
            return fuzzed.public


def credentials(surface: str, known: Known) -> dict[str, str]:
    match surface:
        case "management" | "twins":
            return {"X-Api-Key": KEY}
        case "data-plane":
            return {"Authorization": known["token"]}
        case _:
            return {"Authorization": mock_token(THEM)}


def aimed(case: Case[Any], known: Known) -> None:
    """Put real names into a request, and keep it from waiting for a state that will not come."""
    if isinstance(case.body, dict) and {"consumerPid", "providerPid"} & case.body.keys():
        case.body |= process((case.path_parameters or {}).get("pid"), known)
    case.path_parameters = named(case.path_parameters, known)
    case.query = named(case.query, known)
    case.body = named(case.body, known)
    if case.query and "wait" in case.query:
        case.query["timeout"] = 0.02


@pytest.mark.parametrize(("operation", "mode"), ATTACKS[:: 1 if EXAMPLES else 9])
def test_every_request_gets_an_answer_that_the_file_promises(
    fuzzed: FuzzedNode, known: Known, operation: Operation, mode: GenerationMode
) -> None:
    described = schemathesis.openapi.from_dict(document(operation.surface))[operation.path][operation.method]
    cases = described.as_strategy(generation_mode=mode)
    with requests.Session() as session:

        @bounded()
        @given(case=cases)
        def attack(case: Case[Any]) -> None:
            aimed(case, known)
            answer = case.call(
                base_url=base(fuzzed, operation.surface),
                session=session,
                headers=credentials(operation.surface, known),
                timeout=PATIENCE_S,
            )
            assert answer.status_code < 500 or answer.status_code in GATEWAY, answer.text
            case.validate_response(answer, checks=CHECKS)
            assert fuzzed.surprises() == []

        attack()
