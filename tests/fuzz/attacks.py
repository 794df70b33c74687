"""How an operation is attacked: requests that fit its schema or do not, and what every answer must be like."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.fuzz_world import EXAMPLES, PATIENCE_S, Fuzzed, Known, bounded
from tests.fuzz.surfaces import Operation, document, named, operations, process

CHECKS: Final[list[Any]] = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
FORETOLD: Final = {501, 502, 503, 504}
"""The only failures that an answer may tell of: what is not offered, a counterparty's, or that we are busy."""


def attacks(among: Callable[[str], bool], *, few: int) -> list[Any]:
    """Parameters of a test: every operation of those surfaces in both modes; of `few`, one, in `make test`."""
    every = [
        pytest.param(operation, mode, id=f"{operation} {name}")
        for operation in operations()
        if among(operation.surface)
        for mode, name in _modes(operation)
    ]
    return every[:: 1 if EXAMPLES else few]


def _modes(operation: Operation) -> Iterator[tuple[GenerationMode, str]]:
    yield GenerationMode.POSITIVE, "fitting"
    if operation.can_be_misused:
        yield GenerationMode.NEGATIVE, "unfitting"


def attack(
    fuzzed: Fuzzed[Any],
    operation: Operation,
    mode: GenerationMode,
    *,
    base_url: str,
    known: Known,
    headers: Callable[[], Mapping[str, str]],
) -> None:
    """Send examples, each with fresh `headers` and what is `known` in place of its stand-ins."""
    cases = st.one_of(_cases(operation, mode, aimed=True), _cases(operation, mode, aimed=False))
    with requests.Session() as session:

        @bounded()
        @given(case=cases)
        def each(case: Case[Any]) -> None:
            _aim(case, known)
            answer = case.call(base_url=base_url, session=session, headers=dict(headers()), timeout=PATIENCE_S)
            assert answer.status_code < 500 or answer.status_code in FORETOLD, answer.text
            case.validate_response(answer, checks=CHECKS)
            assert fuzzed.surprises() == []

        each()


def _cases(operation: Operation, mode: GenerationMode, *, aimed: bool) -> st.SearchStrategy[Case[Any]]:
    file = schemathesis.openapi.from_dict(document(operation.surface, aimed=aimed))
    found: st.SearchStrategy[Case[Any]] = file[operation.path][operation.method].as_strategy(generation_mode=mode)
    return found


def _aim(case: Case[Any], known: Known) -> None:
    """Put real names into a request, and keep it from waiting for a state that will not come."""
    if isinstance(case.body, dict) and {"consumerPid", "providerPid"} & case.body.keys():
        case.body |= process((case.path_parameters or {}).get("pid"), known)
    case.path_parameters = named(case.path_parameters, known)
    case.query = named(case.query, known)
    case.body = named(case.body, known)
    if case.query and "wait" in case.query:
        case.query["timeout"] = 0.02
