"""How much one party may ask for: decided by numbers alone, in bounded memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.http.limits import Buckets, Holdings, Limited, Turnstile, network_of

# Rates


def test_a_burst_is_let_through_and_then_the_average() -> None:
    buckets = Buckets(10, 5)
    assert [buckets.take("them", 0) for _ in range(5)] == [0] * 5
    assert buckets.take("them", 0) == 100
    assert buckets.take("them", 60) == 40
    assert buckets.take("them", 100) == 0
    assert buckets.take("them", 100) == 100


@pytest.mark.parametrize("per_minute", range(1, 400, 7))
def test_a_burst_is_whole_whatever_the_rate(per_minute: int) -> None:
    buckets = Buckets(per_minute / 60, per_minute)
    assert [buckets.take("them", 12345.678) for _ in range(per_minute)] == [0] * per_minute
    assert buckets.take("them", 12345.678) > 0


def test_who_waits_as_long_as_told_is_let_in() -> None:
    buckets = Buckets(3, 1)
    buckets.take("them", 0)
    wait = buckets.take("them", 100)
    assert buckets.take("them", 100 + wait) == 0


def test_one_partys_flood_is_not_anothers() -> None:
    buckets = Buckets(1, 1)
    buckets.take("flood", 0)
    assert buckets.take("flood", 0) > 0
    assert buckets.take("them", 0) == 0


def test_what_was_refused_costs_nothing() -> None:
    buckets = Buckets(1, 1)
    buckets.take("them", 0)
    assert {buckets.take("them", 0) for _ in range(100)} == {1000}


def test_what_is_given_back_can_be_taken_again() -> None:
    buckets = Buckets(1, 1)
    for _ in range(100):
        assert buckets.take("them", 0) == 0
        buckets.give_back("them")
    buckets.give_back("a stranger")
    assert buckets.take("a stranger", 0) == 0


def test_a_rate_of_nothing_is_no_limit_and_remembers_nobody() -> None:
    buckets = Buckets(0, 0)
    assert [buckets.take("them", 0) for _ in range(100)] == [0] * 100
    assert len(buckets) == 0


def test_a_stranger_that_invents_names_fills_no_memory() -> None:
    buckets = Buckets(1, 1, keys=100)
    for number in range(10_000):
        buckets.take(f"did:web:evil.example:{number}", number)
    assert len(buckets) == 100


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 10), st.data())
def test_nobody_gets_more_than_burst_and_rate_allow(
    gaps: list[int], per_s: int, burst: int, data: st.DataObject
) -> None:
    buckets, now, taken = Buckets(per_s, burst), 0, []
    for gap in gaps:
        now += gap
        taken += [now for _ in range(data.draw(st.integers(1, 5))) if buckets.take("them", now) == 0]
    for first, began in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - began) * per_s / 1000 + 1e-6


# At the same time


def test_each_and_all_are_counted() -> None:
    turnstile = Turnstile(whole=3, each=2)
    assert [turnstile.enter("a") for _ in range(3)] == [True, True, False]
    assert [turnstile.enter("b") for _ in range(2)] == [True, False]
    turnstile.leave("a")
    assert turnstile.enter("b")
    assert not turnstile.enter("a")


def test_who_has_left_is_forgotten() -> None:
    turnstile = Turnstile(each=1)
    for number in range(1000):
        assert turnstile.enter(number)
        turnstile.leave(number)
    assert len(turnstile) == 0


def test_nought_is_no_limit() -> None:
    turnstile = Turnstile()
    assert all(turnstile.enter("a") for _ in range(1000))


# Open processes


def test_nobody_is_counted_twice_while_there_is_room() -> None:
    holdings = Holdings()
    assert holdings.open("them", 0) is None
    holdings.counted("them", 3, 0)
    assert [holdings.open("them", 0) for _ in range(3)] == [True] * 3
    assert holdings.open("them", 0) is False


def test_who_is_full_is_counted_once_in_a_while() -> None:
    holdings = Holdings(again_ms=1000)
    holdings.counted("them", 0, 0)
    assert [holdings.open("them", at) for at in (0, 500, 999)] == [False] * 3
    assert holdings.open("them", 1000) is None


def test_more_open_than_allowed_leaves_no_room() -> None:
    holdings = Holdings()
    holdings.counted("them", -7, 0)
    assert holdings.open("them", 0) is False


# What is refused, and what counts as one address


@pytest.mark.parametrize(("wait_ms", "told"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999.5, 60)])
def test_a_refusal_says_when_in_whole_seconds(wait_ms: float, told: int) -> None:
    assert (Limited("too much", wait_ms).status, Limited("too much", wait_ms).retry_after_s) == (429, told)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("", ""),
        (None, ""),
        ("a socket of the file system", "a socket of the file system"),
    ],
)
def test_a_host_with_many_addresses_is_one(host: str | None, network: str) -> None:
    assert network_of(host) == network
