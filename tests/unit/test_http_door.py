"""Refusals are counted each, and told once for many."""

from collections import Counter

from structlog.testing import capture_logs

from connector.http.door import WINDOW_MS, Refusals


def test_a_flood_writes_one_line_in_a_window_and_is_counted_whole() -> None:
    counts: Counter[str] = Counter()
    now = 0.0

    def count(limit: str) -> None:
        counts[limit] += 1

    refusals = Refusals(count, lambda: now)
    with capture_logs() as lines:
        for number in range(1000):
            refusals.note("rate", f"did:web:evil.example:{number}")
        refusals.note("pulls", "transfer-1")
        now = WINDOW_MS
        refusals.note("rate", "did:web:other.example")
    assert counts == {"rate": 1001, "pulls": 1}
    assert [(line["limit"], line["who"], line["more_before"]) for line in lines] == [
        ("rate", "did:web:evil.example:0", 0),
        ("pulls", "transfer-1", 0),
        ("rate", "did:web:other.example", 999),
    ]


def test_a_long_name_does_not_fill_the_log() -> None:
    with capture_logs() as lines:
        Refusals().note("rate", "x" * 10_000)
    assert len(lines[0]["who"]) == 200
