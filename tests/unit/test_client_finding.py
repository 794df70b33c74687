"""What a program is told of a passport that was found: nothing counts that the answer does not say."""

from typing import Any

import pytest

from connector.client.finding import Found

GOOD = {"ok": True, "detail": "as it should be"}
ANSWER: dict[str, Any] = {
    "ok": True,
    "contentType": "application/json",
    "encoding": "json",
    "payload": {},
    "verification": None,
    "scanned": GOOD,
    "report": {"ok": True, "checks": {"credential": GOOD}},
    "bundle": {"type": "BatteryPassportBundle"},
}


def test_all_checks_are_told_and_the_bundle_is_kept() -> None:
    found = Found.of(ANSWER)
    assert found.ok
    assert [(check.name, check.ok) for check in found.checks] == [("credential", True), ("scanned", True)]
    assert found.bundle == ANSWER["bundle"]


def test_without_a_credential_there_is_no_bundle() -> None:
    found = Found.of(ANSWER | {"report": None, "bundle": None})
    assert (found.ok, [check.name for check in found.checks], found.bundle) == (True, ["scanned"], None)


@pytest.mark.parametrize(
    "changed",
    [
        {"ok": False},
        {"ok": None},
        {"scanned": None},
        {"scanned": {"ok": False, "detail": "another battery"}},
        {"report": {"checks": {"credential": {"ok": False, "detail": "spoilt"}}}},
    ],
)
def test_what_fails_or_is_not_said_denies(changed: dict[str, Any]) -> None:
    assert not Found.of(ANSWER | changed).ok
