"""Answer first, act after: keeps the messages that a request causes until the request has been answered.

A peer that gets our next message before the answer to its last one may refuse it; EDC answers 409 and ends the process.
The listener opens a hold around a request, the dispatcher puts what the request's own commits promise into it, and the
listener releases it when the answer has left. The store tells its listeners in the context of the `run` that committed,
which is how a message finds the hold of its request.

To have our answer is not yet to have stored it. EDC takes what comes in between, answers 200, and then stores the state
that it had in mind before: a termination at that moment is lost in one of ten cases. So a peer is left alone for
`PAUSE_MS` after each answer, unless its request says that its next message may come at once (`AT_ONCE`), as ours do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from connector.exchange.records import Outgoing

PAUSE_MS: Final = 100
"""How long a peer has for storing our answer before our next message about the same process leaves."""
FOLLOW_UP: Final = "Follow-Up"
AT_ONCE: Final = "at-once"
"""The header of a request whose sender needs no such pause: it sorts out what comes before the answer is stored."""

_held: Final[ContextVar[list[Outgoing] | None]] = ContextVar("held", default=None)


@contextmanager
def hold() -> Iterator[list[Outgoing]]:
    """Collect the messages promised inside; whoever opened the hold must release them, also after a failure."""
    messages: list[Outgoing] = []
    token = _held.set(messages)
    try:
        yield messages
    finally:
        _held.reset(token)


def held() -> list[Outgoing] | None:
    """The open hold, or None if messages may leave at once."""
    return _held.get()
