"""The shapes that messages of negotiations and transfers share (DSP 2025-1, their JSON schemas).

A message is a frozen value whose class is named like its `@type`. `parse` reads JSON from a stranger and raises
PeerError 400 with the place; `to_json` gives what the protocol's schema accepts, whatever was read. `id` is the
message's own `@id`: no schema asks for it, but EDC and the conformance kit send one, and it is how a retry is told
from a new message. `@context` is written and not read: which contexts are understood is decided before a message gets
here.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from connector.protocol.reading import code, optional_text, reasons, text, typed
from connector.protocol.vocabulary import CONTEXT

UNKNOWN_PID: Final = "urn:uuid:00000000-0000-0000-0000-000000000000"
"""Stands for a pid that an error cannot name: both are required by schema, but the other side may have none yet."""


class Message(Protocol):
    """Anything of this protocol that goes into a request or response body."""

    @property
    def id(self) -> str | None:
        """The message's `@id`, None if the peer sent none."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The message in the compact form of the protocol's schema, ready for a JSON writer."""
        ...


def envelope(message: Message, **members: object) -> dict[str, Any]:
    """A message's JSON: `@context`, `@type`, its `@id`, and the members that are neither None nor empty."""
    head: dict[str, Any] = {"@context": list(CONTEXT), "@type": type(message).__name__}
    if message.id is not None:
        head["@id"] = message.id
    return head | {key: value for key, value in members.items() if value is not None and value != []}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMessage:
    """A message of a running process that says nothing but which one."""

    consumer_pid: str
    provider_pid: str
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON."""
        return envelope(self, consumerPid=self.consumer_pid, providerPid=self.provider_pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeMessage:
    """A message of a running process that may say why: `code` for programs, `reason` for people (any JSON inside)."""

    consumer_pid: str
    provider_pid: str
    code: str | None = None
    reason: tuple[object, ...] = ()
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=text(body, "consumerPid"),
            provider_pid=text(body, "providerPid"),
            code=code(body),
            reason=reasons(body),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The message's JSON; an empty `reason` is left out, EDC answers 400 to one."""
        pids = {"consumerPid": self.consumer_pid, "providerPid": self.provider_pid}
        return envelope(self, **pids, code=self.code, reason=list(self.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMessage:
    """The body of a refusal. Read leniently, because EDC leaves the pids out; written strictly, with both."""

    consumer_pid: str | None = None
    provider_pid: str | None = None
    code: str | None = None
    reason: tuple[object, ...] = ()
    id: str | None = None

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read JSON from a stranger. Raise PeerError 400 if it is no error of this kind."""
        body = typed(doc, cls.__name__)
        return cls(
            consumer_pid=_known_pid(optional_text(body, "consumerPid")),
            provider_pid=_known_pid(optional_text(body, "providerPid")),
            code=code(body),
            reason=reasons(body),
            id=optional_text(body, "@id"),
        )

    def to_json(self) -> dict[str, Any]:
        """The error's JSON; UNKNOWN_PID where a pid is not known."""
        pids = {"consumerPid": self.consumer_pid or UNKNOWN_PID, "providerPid": self.provider_pid or UNKNOWN_PID}
        return envelope(self, **pids, code=self.code, reason=list(self.reason))


def _known_pid(pid: str | None) -> str | None:
    return None if pid == UNKNOWN_PID else pid
