"""`?wait=STATE[,STATE]&timeout=SECONDS`: the answer comes when something has happened.

Clients of EDC poll two state machines. Here one request waits until the process is in one of the states named, or in
one that it cannot leave, and answers with what it is then. A state that is passed within one transaction cannot be
waited for; the timeout is no error, the answer shows where the process is.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, TypeVar

from aiohttp import web

from connector.exchange.ports import Tx
from connector.exchange.records import Negotiation, Transfer
from connector.http.management.border import NODE, WAITER
from connector.protocol.errors import Invalid

LONGEST_S: Final = 60.0
DEFAULT_S: Final = 30.0
R = TypeVar("R", Negotiation, Transfer)


def wanted(request: web.Request, states: type[StrEnum]) -> tuple[frozenset[str], float] | None:
    """The states to wait for and how many seconds; None if the request does not wait. Raise Invalid."""
    text = request.query.get("wait")
    if text is None:
        return None
    names = frozenset(name.strip().upper() for name in text.split(","))
    if unknown := names - frozenset(states):
        known = ", ".join(states)
        raise Invalid(f"wait takes the states {known}, separated by commas", "/wait", min(unknown))
    given = request.query.get("timeout", str(DEFAULT_S))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_S:
        raise Invalid(f"timeout is a number of seconds between 0 and {LONGEST_S:g}", "/timeout", given)
    return names, seconds


async def settled(
    request: web.Request, ident: str, load: Callable[[Tx], R], wish: tuple[frozenset[str], float] | None
) -> R:
    """The process as it is when it is in a wanted state or over, or the time is up; at once without a wish.

    load: reads the process with the id `ident`.
    """
    store, engine = request.app[NODE].store, request.app[WAITER]
    if wish is None:
        return await store.read(load)
    states, seconds = wish
    record: R | None = None

    async def reached() -> bool:
        nonlocal record
        record = await store.read(load)
        return _there(record, states)

    await engine.wait_until(ident, reached, seconds, lambda event: _there(event.record, states))
    return await store.read(load) if record is None else record


def _there(record: object, states: frozenset[str]) -> bool:
    return isinstance(record, Negotiation | Transfer) and (record.process.over or record.process.state in states)
