"""The exact moment at which a policy ends by itself."""

from typing import Any

import pytest

from connector.policy.evaluate import ends_at
from connector.policy.parse import parse_policy

DAY = 86_400_000
AGREED = 20_454 * DAY + DAY // 2  # 2026-01-01T12:00Z
MARCH, MAY = 20_513 * DAY, 20_574 * DAY


def date(operator: str, right: str, left: str = "inForceDate") -> dict[str, Any]:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


BPN = date("eq", "BPNL1", "BusinessPartnerNumber")
TO_MARCH, TO_MAY = date("lteq", "2026-03-01T00:00:00Z"), date("lteq", "2026-05-01T00:00:00Z")
FROM_MARCH, FROM_MAY = date("gteq", "2026-03-01T00:00:00Z"), date("gteq", "2026-05-01T00:00:00Z")


def end(*constraints: object, part: str = "permission", after: int | None = None) -> int | None:
    policy = parse_policy({part: [{"action": "use", "constraint": list(constraints)}]})
    return ends_at(policy, AGREED, after)


@pytest.mark.parametrize(
    ("constraints", "moment"),
    [
        ([], None),
        ([BPN], None),
        ([TO_MARCH], MARCH + 1),
        ([date("lt", "2026-03-01T00:00:00Z")], MARCH),
        ([date("eq", "2026-03-01T00:00:00Z")], MARCH + 1),
        ([date("neq", "2026-03-01T00:00:00Z")], MARCH),
        ([FROM_MARCH], None),
        ([date("lteq", "contractAgreement+1d")], AGREED + DAY + 1),
        ([date("eq", "2026-03-01T00:00:00Z", "DataUsageEndDate")], MARCH + 1),
        ([date("eq", "1", "DataUsageEndDurationDays")], AGREED - DAY // 2 + 2 * DAY),
        ([TO_MAY, TO_MARCH], MARCH + 1),
        ([BPN, {"and": [TO_MAY, BPN]}], MAY + 1),
        ([{"or": [TO_MARCH, TO_MAY]}], MAY + 1),
        ([{"or": [TO_MARCH, FROM_MARCH]}], None),
        ([{"xone": [TO_MAY, FROM_MARCH]}], MARCH),
        ([FROM_MARCH, TO_MAY], MAY + 1),
        ([date("lteq", "some day")], None),
        ([{"xone": [BPN, BPN]}, TO_MAY], MAY + 1),
        ([{"or": [{"or": []}, TO_MAY]}], MAY + 1),
    ],
)
def test_the_end_of_a_permission(constraints: list[object], moment: int | None) -> None:
    assert end(*constraints) == moment
    assert end(*constraints, part="obligation") == moment


@pytest.mark.parametrize(
    ("constraints", "moment"),
    [([FROM_MARCH], MARCH), ([TO_MARCH], None), ([BPN, FROM_MAY], MAY), ([FROM_MARCH, FROM_MAY], MAY), ([], None)],
)
def test_a_prohibition_ends_the_policy_when_it_begins(constraints: list[object], moment: int | None) -> None:
    assert end(*constraints, part="prohibition") == moment


def test_the_first_rule_to_end_ends_the_policy() -> None:
    rules = [{"action": "use", "constraint": [c]} for c in (TO_MAY, TO_MARCH)]
    assert ends_at(parse_policy({"permission": rules}), AGREED) == MARCH + 1


def test_a_date_beside_another_operand_under_or_is_asked_for_one_by_one() -> None:
    either = {"or": [BPN, TO_MARCH, FROM_MAY]}
    assert end(either) == MARCH + 1
    assert end(either, after=MARCH + 1) == MAY
    assert end(either, after=MAY) is None


def test_more_dates_than_any_honest_policy_has_are_answered_early_and_quickly() -> None:
    many = {"or": [date("lteq", f"contractAgreement+{n}s") for n in range(1, 5000)]}
    assert end(many) == AGREED + 1_000 + 1
