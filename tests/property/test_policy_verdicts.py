"""What the catalog's index and the timers rely on, held against `evaluate` itself."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from connector.policy.audience import audience
from connector.policy.evaluate import Circumstances, Counterparty, Scope, ends_at, evaluate
from connector.policy.model import Policy
from tests.property.policy_documents import (
    AGREED_AT,
    BPNS,
    any_policies,
    bpn_constraints,
    date_constraints,
    policies,
)

narrow = policies(bpn_constraints()).map(
    lambda p: replace(p, permission=p.permission[:1], prohibition=p.prohibition[:1], obligation=())
)
partners_and_dates = policies(bpn_constraints() | date_constraints())
moments = st.integers(AGREED_AT - 20_000, AGREED_AT + 20_000)
partners = st.none() | st.sampled_from(BPNS)


def asking(bpn: str | None, now: int, scope: Scope = "transfer", agreed_at: int | None = AGREED_AT) -> Circumstances:
    return Circumstances(scope, Counterparty("did:web:c", bpn, {}), now, agreed_at)


@given(
    any_policies | partners_and_dates | narrow,
    partners,
    moments,
    st.sampled_from(("catalog", "negotiation", "transfer")),
    st.none() | st.just(AGREED_AT),
)
def test_who_is_permitted_is_in_the_audience(
    policy: Policy, bpn: str | None, now: int, scope: Scope, agreed_at: int | None
) -> None:
    if evaluate(policy, asking(bpn, now, scope, agreed_at)).permitted:
        admitted = audience(policy)
        assert admitted is None or bpn in admitted


@given(partners_and_dates, partners, moments, moments)
def test_a_policy_never_ends_before_the_timer_says(policy: Policy, bpn: str | None, one: int, other: int) -> None:
    start, later = sorted((one, other))
    if evaluate(policy, asking(bpn, start)).permitted and not evaluate(policy, asking(bpn, later)).permitted:
        end = ends_at(policy, AGREED_AT, after=start)
        assert end is not None
        assert start < end <= later


@given(policies(date_constraints()), moments)
def test_a_policy_of_dates_ends_exactly_when_the_timer_says(policy: Policy, start: int) -> None:
    if not evaluate(policy, asking(None, start)).permitted:
        return
    end = ends_at(policy, AGREED_AT, after=start)
    if end is None:
        assert evaluate(policy, asking(None, AGREED_AT + 10**12)).permitted
    else:
        assert evaluate(policy, asking(None, end - 1)).permitted
        assert not evaluate(policy, asking(None, end)).permitted


@given(any_policies, partners, moments)
def test_a_condition_more_never_opens_anything(policy: Policy, bpn: str | None, now: int) -> None:
    circumstances = asking(bpn, now)
    without = Policy(policy.permission[1:], policy.prohibition[1:], policy.obligation[1:], rest=policy.rest)
    if evaluate(policy, circumstances).permitted:
        assert evaluate(without, circumstances).permitted
