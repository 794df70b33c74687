"""Answer first, act after: keeps the messages that a request causes until the request has been answered.

A peer that gets our next message before the answer to its last one may refuse it; EDC answers 409 and ends the process.
The listener opens a hold around a request, the dispatcher puts what the request's own commits promise into it, and the
listener releases it when the answer has left. The store tells its listeners in the context of the `run` that committed,
which is how a message finds the hold of its request.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from connector.exchange.records import Outgoing

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
