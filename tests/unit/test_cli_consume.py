"""What a person is told of data that was fetched."""

from pathlib import Path
from typing import Any

import pytest

from connector.cli.consume import received
from connector.cli.terminal import Said
from connector.client import Fetched

PCF = "urn:samm:io.catenax.pcf:9.0.0#Pcf"


def model(verdict: str, reason: str, *faults: str, named_by: str | None = "catalog") -> dict[str, Any]:
    rows = [{"pointer": place, "message": "is wrong"} for place in faults]
    return {"verdict": verdict, "reason": reason, "semanticId": PCF, "namedBy": named_by, "faults": rows}


def said(ok: bool | None, verdict: dict[str, Any], output: Path | None = None, **members: object) -> Said:
    doc = {"contentType": "application/json", "payload": {"a": 1}, "verification": None, "ok": ok, "model": verdict}
    return received(Fetched.of(doc | members), output)


@pytest.mark.parametrize(
    ("ok", "verdict", "line"),
    [
        (None, model("valid", f"fits {PCF}"), f"ok     model: fits {PCF} (named by the catalog)"),
        (False, model("invalid", "/a: 1 is no text", "/a"), "FAILED model: /a: 1 is no text (named by the catalog)"),
        (
            None,
            model("unknown model", "no schema is known"),
            "-      model: unknown model: no schema is known (named by the catalog)",
        ),
        (
            None,
            model("not checked", "nobody says which model this is", named_by=None),
            "-      model: not checked: nobody says which model this is",
        ),
    ],
)
def test_data_without_proof_has_a_verdict_in_every_case(ok: bool | None, verdict: dict[str, Any], line: str) -> None:
    told = said(ok, verdict)
    assert told.lines[:2] == ["unproven: the data carries no signature, and none was asked for", line]
    assert told.ok is (ok is None)
    assert told.doc["model"] == verdict


def test_data_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    assert not said(False, model("invalid", "/a: wrong", "/a"), file).ok
    assert not file.exists()
    assert said(None, model("unknown model", "nobody knows it"), file).ok
    assert file.exists()


def test_each_fault_is_told_and_not_too_many() -> None:
    few = said(False, model("invalid", "/a: is wrong (the first of 2 faults)", "", "/a")).lines
    assert few[2:] == ["       the whole payload: is wrong", "       /a: is wrong"]
    many = said(False, model("invalid", "/0: is wrong", *(f"/{i}" for i in range(30)))).lines
    assert (len(many[2:]), many[-1]) == (21, "       and 10 more: --json has them all")


def test_faults_of_proven_data_stand_below_its_checks() -> None:
    checks = {name: {"ok": name != "schema", "detail": "d"} for name in ("digest", "signature", "signer", "schema")}
    lines = said(False, model("invalid", "d", "/a", "/b"), verification=checks).lines
    assert lines[3:] == ["FAILED schema: d", "       /a: is wrong", "       /b: is wrong"]
