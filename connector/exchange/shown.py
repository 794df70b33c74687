"""What counterparties have shown of their credentials, for the moments in which they cannot be asked: a token refresh.

It is written when a counterparty shows something else than before, so an exchange with one that is known writes nothing
more, and replicas of a node read the same. Nothing has to look for what is over: it goes with the next that is written.
"""

from collections.abc import Sequence
from typing import Final

from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import ShownCredentials

ENDLESS_MS: Final = 365 * 24 * 3600 * 1000
"""How long credentials without an end are kept that nobody shows any more."""


def keep(tx: Tx, participant: str, jwts: Sequence[str], ends: Sequence[int | None], now: int) -> None:
    """Keep what a participant has shown in place of what it showed before. ends: of each credential (ms)."""
    _forget(tx, now)
    ends_at = max((now + ENDLESS_MS if end is None else end for end in ends), default=now)
    record = ShownCredentials(participant, now, ends_at, tuple(jwts))
    write = tx.shown.add if tx.shown.find(participant) is None else tx.shown.save
    write(record)


def by(tx: Tx, participant: str) -> tuple[str, ...]:
    """What a participant has shown last, as JWTs; nothing if it never has."""
    found = tx.shown.find(participant)
    return () if found is None else found.jwts


def _forget(tx: Tx, now: int) -> None:
    """Drop what has ended: it opens nothing, no more than what was never shown."""
    over = QuerySpec(criteria=(Criterion("endsAt", "<", now),), sort_field="endsAt")
    for ended in tx.shown.query(over):
        tx.shown.delete(ended.id)
