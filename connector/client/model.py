"""What the management API answers, as values. Each `of` reads EDC's JSON; `raw` keeps all of it.

Only members that callers decide by have a field. Times are milliseconds since the epoch, as EDC has them.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar

from connector.client.api import failure
from connector.protocol.catalog import DatasetView, read_catalog, read_dataset, semantic_id_in
from connector.protocol.errors import PeerError
from connector.protocol.vocabulary import PROTOCOL

T = TypeVar("T")
Doc = Mapping[str, Any]
CHECKS: Final = ("digest", "signature", "signer", "schema")
"""What a fetched payload is asked, in this order (`connector.passport.verification`)."""
ENDED: Final = frozenset({"TERMINATED", "COMPLETED", "DEPROVISIONED"})


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `total` counts what fulfils the criteria on all pages together."""

    items: tuple[T, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Provider:
    """A counterparty to get data from: its participant id (a DID, or a BPN that our node's directory knows) and where.

    `address` is its DSP address with the version's path, as `counterPartyAddress` wants it.
    """

    id: str
    address: str

    def to_json(self) -> dict[str, str]:
        """The members that every request to a counterparty has."""
        return {"counterPartyId": self.id, "counterPartyAddress": self.address, "protocol": PROTOCOL}


@dataclass(frozen=True, slots=True)
class Offer:
    """Terms under which a dataset can be had. `policy` is the provider's own wording, to be sent back unchanged."""

    id: str
    dataset_id: str
    policy: Doc = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of a catalog; `properties` has the provider's keys."""

    id: str
    offers: tuple[Offer, ...]
    formats: tuple[str, ...]
    properties: Doc = field(repr=False)

    @classmethod
    def of(cls, view: DatasetView) -> Self:
        """From what the protocol's reader made of it."""
        offers = tuple(Offer(str(o["@id"]), view.id, o) for o in view.offers)
        return cls(view.id, offers, view.formats, view.properties)

    @classmethod
    def parse(cls, doc: object) -> Self:
        """Read a dataset document. Raise ApiError if it is none."""
        try:
            return cls.of(read_dataset(doc))
        except PeerError as error:
            raise failure(f"the provider's dataset cannot be read: {error}") from error

    @property
    def semantic_id(self) -> str | None:
        """The aspect model of the payload, if the provider says so."""
        return semantic_id_in(self.properties)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a provider shows us: one page of it, as large as was asked for."""

    participant_id: str
    datasets: tuple[Dataset, ...]
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read the provider's answer. Raise ApiError if it is no catalog."""
        try:
            view = read_catalog(doc)
        except PeerError as error:
            raise failure(f"the provider's catalog cannot be read: {error}") from error
        return cls(view.participant_id, tuple(Dataset.of(d) for d in view.datasets), doc)

    def dataset(self, dataset_id: str) -> Dataset | None:
        """The dataset of that id, or None."""
        return next((d for d in self.datasets if d.id == dataset_id), None)


@dataclass(frozen=True, slots=True)
class Asset:
    """Something offered."""

    id: str
    properties: Doc
    data_address: Doc
    created_at: int
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read EDC's Asset."""
        properties, address = doc.get("properties") or {}, doc.get("dataAddress") or {}
        return cls(_text(doc, "@id"), properties, address, _number(doc, "createdAt"), doc)


@dataclass(frozen=True, slots=True)
class Negotiation:
    """A contract negotiation as it stands. `state` is EDC's name; `error` says why it is held or was ended."""

    id: str
    state: str
    role: str
    counterparty_id: str
    asset_id: str
    agreement_id: str | None
    error: str | None
    created_at: int
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read EDC's ContractNegotiation."""
        return cls(
            id=_text(doc, "@id"),
            state=_text(doc, "state"),
            role=_text(doc, "type"),
            counterparty_id=_text(doc, "counterPartyId"),
            asset_id=_text(doc, "assetId"),
            agreement_id=doc.get("contractAgreementId") or None,
            error=doc.get("errorDetail") or None,
            created_at=_number(doc, "createdAt"),
            raw=doc,
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """A contract that both sides have. `signed_at` is in seconds, as EDC has it."""

    id: str
    asset_id: str
    provider_id: str
    consumer_id: str
    signed_at: int
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read EDC's ContractAgreement."""
        return cls(
            id=_text(doc, "@id"),
            asset_id=_text(doc, "assetId"),
            provider_id=_text(doc, "providerId"),
            consumer_id=_text(doc, "consumerId"),
            signed_at=_number(doc, "contractSigningDate"),
            raw=doc,
        )


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer process as it stands."""

    id: str
    state: str
    role: str
    asset_id: str
    agreement_id: str
    format: str
    error: str | None
    created_at: int
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read EDC's TransferProcess."""
        return cls(
            id=_text(doc, "@id"),
            state=_text(doc, "state"),
            role=_text(doc, "type"),
            asset_id=_text(doc, "assetId"),
            agreement_id=_text(doc, "contractId"),
            format=_text(doc, "transferType"),
            error=doc.get("errorDetail") or None,
            created_at=_number(doc, "createdAt"),
            raw=doc,
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a process's timeline: who did what, when (ISO 8601)."""

    at: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Why a process is where it is; `awaits` says whose turn it is, `undelivered` what has not arrived and why."""

    state: str
    awaits: str
    history: tuple[Entry, ...]
    undelivered: tuple[str, ...]
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read our Timeline."""
        history = (Entry(_text(e, "at"), _text(e, "what"), _text(e, "detail")) for e in doc.get("history") or ())
        waiting = (f"{_text(m, 'event')}: {_text(m, 'lastError') or 'under way'}" for m in doc.get("undelivered") or ())
        return cls(_text(doc, "state"), _text(doc, "awaits"), tuple(history), tuple(waiting), doc)


@dataclass(frozen=True, slots=True)
class DataAddress:
    """Where the data of a running pull is, and the value of the `Authorization` header that opens it."""

    endpoint: str
    authorization: str = field(repr=False)
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read EDC's DataAddress."""
        return cls(_text(doc, "endpoint"), _text(doc, "authorization"), doc)


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a payload and its answer."""

    name: str
    ok: bool
    detail: str

    @classmethod
    def of(cls, name: str, doc: object) -> Self:
        """Read one row of a report."""
        if not isinstance(doc, Mapping):
            return cls(name, ok=False, detail="the report does not say")
        return cls(name, doc.get("ok") is True, _text(doc, "detail"))


@dataclass(frozen=True, slots=True)
class Verified:
    """What our node found out about a payload; nothing may be used unless `ok`."""

    checks: tuple[Check, ...]

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read the report. A check that is not in it has failed: failing checks deny."""
        return cls(tuple(Check.of(name, doc.get(name)) for name in CHECKS))

    @property
    def ok(self) -> bool:
        """Every check holds."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.ok)


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """Whether data fits the aspect model that it is said to have, and who says which one that is.

    verdict: "valid", "invalid", "unknown model" or "not checked"; `faults` are places (JSON pointers) with a message.
    """

    verdict: str
    reason: str
    semantic_id: str | None
    named_by: str | None
    faults: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, doc: object) -> Self:
        """Read the report; a node that has none of it has not looked."""
        if not isinstance(doc, Mapping):
            return cls("not checked", "the report does not say", None, None, ())
        rows = doc.get("faults")
        return cls(
            verdict=_text(doc, "verdict"),
            reason=_text(doc, "reason"),
            semantic_id=_text(doc, "semanticId") or None,
            named_by=_text(doc, "namedBy") or None,
            faults=tuple((_text(row, "pointer"), _text(row, "message")) for row in rows or ()),
        )

    def to_json(self) -> dict[str, Any]:
        """The report as the API gives it."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "semanticId": self.semantic_id,
            "namedBy": self.named_by,
            "faults": [{"pointer": pointer, "message": message} for pointer, message in self.faults],
        }


@dataclass(frozen=True, slots=True)
class Fetched:
    """Data, and what our node found out about it.

    `payload` is JSON, or bytes of another content type. `verified` is None for data that carries no proof and was not
    expected to. `ok` is False if any check fails, None if there is neither proof nor fault.
    """

    payload: Any = field(repr=False)
    content_type: str
    semantic_id: str | None
    verified: Verified | None
    model: ModelVerdict
    ok: bool | None

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read the answer to a fetch."""
        report, payload = doc.get("verification"), doc.get("payload")
        return cls(
            payload=base64.b64decode(payload) if doc.get("encoding") == "base64" and payload else payload,
            content_type=_text(doc, "contentType"),
            semantic_id=_text(doc, "semanticId") or None,
            verified=Verified.of(report) if isinstance(report, Mapping) else None,
            model=ModelVerdict.of(doc.get("model")),
            ok=doc["ok"] if isinstance(doc.get("ok"), bool) else None,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be delivered and is kept until somebody has it retried."""

    id: str
    process_id: str
    event: str
    url: str
    attempts: int
    error: str
    raw: Doc = field(repr=False)

    @classmethod
    def of(cls, doc: Doc) -> Self:
        """Read one entry."""
        return cls(
            id=_text(doc, "@id"),
            process_id=_text(doc, "processId"),
            event=_text(doc, "event"),
            url=_text(doc, "url"),
            attempts=_number(doc, "attempts"),
            error=_text(doc, "lastError"),
            raw=doc,
        )


def ids(docs: Sequence[Doc]) -> list[str]:
    """The ids of a list's entries."""
    return [_text(doc, "@id") for doc in docs]


def _text(doc: Doc, name: str) -> str:
    value = doc.get(name)
    if isinstance(value, Mapping):
        value = value.get("@id")
    return value if isinstance(value, str) else ""


def _number(doc: Doc, name: str) -> int:
    value = doc.get(name)
    return value if isinstance(value, int) else 0
