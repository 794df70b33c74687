"""One id through an exchange, the same on both sides and in every life of a node, kept nowhere: it is worked out.

A negotiation's comes from what both sides know of it from the first message on: who the consumer is, and its pid. The
agreement of a negotiation gets the same value as its id, so the transfers under it have it too. Agreements of providers
that choose other ids make their transfers a trace of their own; there the agreement's id joins the two.

On the wire it is the `trace-id` of the header `traceparent` (W3C Trace Context, 3.2), which peers that trace take up.
"""

from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

from connector.exchange.records import Negotiation, Transfer
from connector.protocol.process import Role

_SPACE: Final = UUID("6d0b2f3e-92a4-4c5f-8f0e-5b7a3c1d9e64")
"""Drawn once. Two nodes find the same trace only as long as it stays."""


def trace_of(us: str, record: Negotiation | Transfer) -> str:
    """The trace id of a process, 32 hex digits; `us` is our participant id.

    A negotiation that a provider opens gets another one when the consumer has told its pid.
    """
    if isinstance(record, Transfer):
        return _of_agreement(record.agreement_id)
    ours = record.process.us is Role.CONSUMER or record.peer_pid is None
    who, pid = (us, record.id) if ours else (record.peer.id, record.peer_pid)
    return _named(f"{who} {pid}")


def agreement_id(us: str, record: Negotiation) -> str:
    """The id that the agreement of a negotiation gets: its trace, so that the transfers under it can tell."""
    return str(UUID(trace_of(us, record)))


def span_of(message_id: str) -> str:
    """The span id of a message, 16 hex digits, the same in every attempt."""
    return _named(message_id)[:16]


def traceparent(trace: str, message_id: str) -> str:
    """The header for one message: the span that the peer goes on from is the message."""
    return f"00-{trace}-{span_of(message_id)}-01"


@lru_cache(maxsize=4096)
def _named(text: str) -> str:
    """Every step of an exchange asks for the same few."""
    return uuid5(_SPACE, text).hex


def _of_agreement(identifier: str) -> str:
    try:
        return UUID(identifier).hex
    except ValueError:
        return _named(identifier)
