"""The two error families, in the way of h11: either we are wrong, or they are.

    ConnectorError
    ├── PeerError       a counterparty broke the protocol or asked for what it may not have: carries the HTTP status
    └── LocalError      our own side (an operator, our code, our data) asked for what cannot be done
        ├── Invalid     the input is not what it should be (management API: 400 ValidationFailure)
        ├── NotFound    there is no such object (404 ObjectNotFound)
        ├── Conflict    the object is not in a state that allows it (409 ObjectConflict)
        └── Unreachable the counterparty did not answer, or answered with an error (502 BadGateway)

Nothing else leaves a public function on purpose. Every error carries a reason that a person can act on; it names the
place as a JSON pointer (RFC 6901) where there is one, and never holds a secret.
"""

from typing import ClassVar


class ConnectorError(Exception):
    """Root of both families. `reason` is for people; `pointer` is the RFC 6901 place in the input, or ""."""

    def __init__(self, reason: str, pointer: str = "") -> None:
        super().__init__(f"{reason} (at {pointer})" if pointer else reason)
        self.reason = reason
        self.pointer = pointer


class PeerError(ConnectorError):
    """The counterparty is wrong. `status` is the HTTP answer: 4xx is final for it, 503 invites a retry."""

    def __init__(self, status: int, reason: str, pointer: str = "") -> None:
        super().__init__(reason, pointer)
        self.status = status


class LocalError(ConnectorError):
    """Our side is wrong. `status` and `kind` are how the management API says it (EDC v3 error body)."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "InternalError"

    def __init__(self, reason: str, pointer: str = "", value: object = None) -> None:
        super().__init__(reason, pointer)
        self.value = value


class Invalid(LocalError):
    """The input cannot be accepted; `pointer` names the place and `value` what stood there."""

    status = 400
    kind = "ValidationFailure"


class NotFound(LocalError):
    """There is no such object. The reason names its type and id."""

    status = 404
    kind = "ObjectNotFound"


class Conflict(LocalError):
    """The object exists already, is in use, or is not in a state that allows the operation."""

    status = 409
    kind = "ObjectConflict"


class Unreachable(LocalError):
    """The counterparty could not be asked, or refused; the reason repeats what it said."""

    status = 502
    kind = "BadGateway"
