"""Why a counterparty was not let in: one stable code for each check, for logs and for operators who search them.

The counterparty learns only that it was refused (DCP 1.0 names no error details, and details would tell an attacker
which lock to try next); code, reason and place stay here. 401 is "who you are is not proved", 403 is "proved, but your
credentials do not open this", 503 is "cannot be told right now": denied as well, but worth another try.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Self

from connector.protocol.errors import PeerError, Unreachable


class Check(StrEnum):
    """What was checked when a counterparty was refused. The values are stable: alerts are made of them."""

    HEADER = "header"
    SI_TOKEN = "si-token"  # noqa: S105 - the name of a check
    ACCESS_TOKEN = "access-token"  # noqa: S105 - the name of a check
    WALLET = "wallet"
    PRESENTATION = "presentation"
    PRESENTATION_SIGNATURE = "presentation-signature"
    PRESENTATION_HOLDER = "presentation-holder"
    PRESENTATION_AUDIENCE = "presentation-audience"
    PRESENTATION_TIME = "presentation-time"
    CREDENTIAL = "credential"
    CREDENTIAL_MISSING = "credential-missing"
    CREDENTIAL_ISSUER = "credential-issuer"
    CREDENTIAL_SIGNATURE = "credential-signature"
    CREDENTIAL_SUBJECT = "credential-subject"
    CREDENTIAL_TIME = "credential-time"
    CREDENTIAL_SCHEMA = "credential-schema"
    CREDENTIAL_REVOKED = "credential-revoked"
    STATUS_LIST = "status-list"
    BPN = "bpn"
    DELIVERY = "delivery"


class Refusal(PeerError):
    """A failed check. `check` is its code; `reason` and `pointer` are for our own log, never for the peer."""

    def __init__(self, check: Check, reason: str, pointer: str = "", *, status: int = 403) -> None:
        super().__init__(status, reason, pointer)
        self.check = check

    def again(self) -> Self:
        """The same as a new exception: one instance raised many times would collect tracebacks."""
        return type(self)(self.check, self.reason, self.pointer, status=self.status)


@contextmanager
def refusing(check: Check, status: int = 403) -> Iterator[None]:
    """Make every fault inside a Refusal by `check`: a peer's with `status`, an outage with 503."""
    try:
        yield
    except Refusal:
        raise
    except PeerError as fault:
        again = fault.status == 503  # noqa: PLR2004 - HTTP status
        raise Refusal(check, fault.reason, fault.pointer, status=503 if again else status) from fault
    except Unreachable as outage:
        raise Refusal(check, outage.reason, outage.pointer, status=503) from outage
