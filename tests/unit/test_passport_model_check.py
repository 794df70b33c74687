"""The verdict of an aspect model: always one, with the reason, and judged once for the same bytes."""

import json
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, passports, tampered
from connector.passport import model_check
from connector.passport.disclosure import class_map
from connector.passport.model_check import Fit, ModelCheck, ModelChecks, check_model
from connector.semantics.registry import SchemaRegistry, bundled

if TYPE_CHECKING:
    from jsonschema_rs import Validator

BODY = json.dumps(passports()[0]).encode()
UNKNOWN = "urn:samm:example:1.0.0#None"


def check(body: bytes = BODY, semantic_id: str = PASSPORT_SEMANTIC_ID, **said: str | None) -> ModelCheck:
    return check_model(body, semantic_id, bundled(), **said)


def test_what_fits_is_valid() -> None:
    assert check() == ModelCheck(Fit.VALID, f"fits {PASSPORT_SEMANTIC_ID}", PASSPORT_SEMANTIC_ID)


def test_what_does_not_fit_is_told_place_by_place() -> None:
    passport, place = tampered()
    del passport["safety"]
    found = check(json.dumps(passport).encode())
    assert found.fit is Fit.INVALID
    assert {fault.pointer for fault in found.faults} == {"", place}
    assert found.reason == "the whole payload: the member 'safety' is missing (the first of 2 faults)"
    assert found.to_json()["faults"][1] == {"pointer": place, "message": "'0.0348 kg CO2 / kWh' is not a number"}


def test_a_model_that_nobody_here_has_is_unknown_and_not_a_fault() -> None:
    found = check(semantic_id=UNKNOWN)
    assert (found.fit, found.semantic_id, found.faults) == (Fit.UNKNOWN_MODEL, UNKNOWN, ())
    assert "no schema is known" in found.reason
    assert PASSPORT_SEMANTIC_ID in found.reason


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'{"a": 1, "a": 2}', b"[" * 10_000])
def test_what_is_no_json_fits_no_model(body: bytes) -> None:
    found = check(body)
    assert found.fit is Fit.INVALID
    assert [fault.pointer for fault in found.faults] == [""]
    assert found.faults[0].message == found.reason


def test_what_is_declared_as_something_else_is_invalid() -> None:
    found = check(declared=FOOTPRINT_SEMANTIC_ID)
    assert found.fit is Fit.INVALID
    assert found.reason == f"the payload is declared as {FOOTPRINT_SEMANTIC_ID}; agreed was {PASSPORT_SEMANTIC_ID}"


def test_a_view_is_held_to_what_its_reader_is_to_see() -> None:
    view = json.dumps(class_map().project(passports()[0], frozenset({"public-model"}))).encode()
    assert check(view).fit is Fit.INVALID
    assert check(view, shown="public-model").fit is Fit.VALID
    assert check(BODY, shown="public-model").fit is Fit.INVALID


class Counting(SchemaRegistry):
    """The models of the connector, and how often they were asked for."""

    asked = 0

    @override
    def validator(self, semantic_id: str) -> "Validator":
        self.asked += 1
        return bundled().validator(semantic_id)


@pytest.fixture
def counting() -> Counting:
    return Counting(bundled()._folder)  # noqa: SLF001 - the same files


async def test_the_same_bytes_are_judged_once(counting: Counting) -> None:
    checks = ModelChecks(counting)
    first = await checks.of(BODY, PASSPORT_SEMANTIC_ID)
    assert await checks.of(bytes(bytearray(BODY)), PASSPORT_SEMANTIC_ID) is first
    assert counting.asked == 1
    assert (await checks.of(BODY + b" ", PASSPORT_SEMANTIC_ID)).fit is Fit.VALID
    assert (await checks.of(BODY, FOOTPRINT_SEMANTIC_ID)).fit is Fit.INVALID
    assert (await checks.of(BODY, PASSPORT_SEMANTIC_ID, declared=UNKNOWN)).fit is Fit.INVALID
    assert counting.asked == 3


async def test_only_so_many_verdicts_are_remembered(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_check, "_REMEMBERED", 2)
    checks = ModelChecks(counting)
    for body in (b"{}", b"[]", b"{}", b"1"):
        await checks.of(body, PASSPORT_SEMANTIC_ID)
    assert counting.asked == 3
    await checks.of(b"{}", PASSPORT_SEMANTIC_ID)
    assert counting.asked == 3  # used later than the other
    await checks.of(b"[]", PASSPORT_SEMANTIC_ID)
    assert counting.asked == 4


async def test_large_data_is_judged_beside_the_loop_with_the_same_verdict(counting: Counting) -> None:
    large = json.dumps(passports()[0], indent=200).encode()
    assert len(large) > 64 << 10
    assert (await ModelChecks(counting).of(large, PASSPORT_SEMANTIC_ID)).fit is Fit.VALID
