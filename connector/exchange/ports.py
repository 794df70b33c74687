"""What the use cases need from outside. Adapters inherit these classes with `@override`, so mypy sees drift.

The store is the heart: `run` takes a plain function and runs it inside one transaction in the store's own thread. The
function cannot await, so no lock outlives a network call; it may be run again if the commit has to be repeated, so it
must not have effects of its own.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from connector.exchange.passport_records import PassportVersion
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import (
    Agreement,
    Asset,
    BusinessPartner,
    ContractDefinition,
    CredentialRequest,
    Edr,
    Grant,
    Happened,
    HeldCredential,
    Negotiation,
    Outgoing,
    Payload,
    PolicyDefinition,
    Secret,
    ShownCredentials,
    Timer,
    Transfer,
)
from connector.passport.credential import About, Issued
from connector.passport.model_check import ModelCheck
from connector.passport.report import Bundle, Report
from connector.passport.sdjwt import SdJwt
from connector.passport.verification import Verification
from connector.policy.circumstances import ProvenCredential
from connector.protocol.transfer_messages import DataAddress
from connector.twins.rules import AccessRule
from connector.twins.shell import AssetLink, RegisteredShell
from connector.twins.visibility import Reader

T = TypeVar("T")
R = TypeVar("R")


class Clock(Protocol):
    """Time as an argument; tests and simulations have their own."""

    def now(self) -> int:
        """Milliseconds since the epoch."""
        ...

    async def sleep_until(self, at: int) -> None:
        """Return at `at` (ms), at once if it is past; earlier when the clock was set back: look at it again."""
        ...


class Repository(Protocol[R]):
    """The records of one kind, by id."""

    def find(self, identifier: str) -> R | None:
        """The record, or None."""
        ...

    def get(self, identifier: str) -> R:
        """The record. Raise NotFound naming kind and id."""
        ...

    def get_many(self, identifiers: Iterable[str]) -> dict[str, R]:
        """The records that exist among `identifiers`, by id, in one query."""
        ...

    def add(self, record: R) -> None:
        """Keep a new record. Raise Conflict if the id is taken."""
        ...

    def save(self, record: R) -> None:
        """Replace a record. Raise NotFound if there is none of its id."""
        ...

    def delete(self, identifier: str) -> None:
        """Forget a record. Raise NotFound if there is none."""
        ...

    def query(self, spec: QuerySpec) -> list[R]:
        """A page in the order asked for (default: oldest first). Raise Invalid for an unknown field."""
        ...

    def count(self, criteria: Sequence[Criterion] = ()) -> int:
        """How many records fulfil all criteria."""
        ...


class ProcessRepository(Repository[R], Protocol[R]):
    """Negotiations or transfers, also found by what the peer calls them."""

    def find_by_peer(self, peer_id: str, peer_pid: str) -> R | None:
        """The process that `peer_id` knows as `peer_pid`, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Offering:
    """An asset with the definitions that offer it, in id order; `cursor` is its place in the catalog's order."""

    cursor: int
    asset: Asset
    definitions: tuple[ContractDefinition, ...]


class OfferIndex(Protocol):
    """Which definition offers which asset to whom, worked out when something is published, not when it is asked for.

    `audience` is who an access policy can let in at all: BPNs, and groups as `group:<name>`; None if it does not say.
    """

    def put_asset(self, asset: Asset) -> None:
        """Index a new or changed asset under every definition whose selector it fulfils."""
        ...

    def drop_asset(self, asset_id: str) -> None:
        """Take an asset out of the index."""
        ...

    def put_definition(self, definition: ContractDefinition, audience: frozenset[str] | None) -> None:
        """Index a new or changed definition over all assets that its selector names."""
        ...

    def drop_definition(self, definition_id: str) -> None:
        """Take a definition out of the index."""
        ...

    def page(
        self,
        bpn: str | None,
        *,
        groups: Collection[str] = (),
        after: int = 0,
        limit: int,
        offset: int = 0,
        criteria: Sequence[Criterion] = (),
    ) -> list[Offering]:
        """At most `limit` offerings that `bpn`, in these groups, may see, in catalog order, with cursor > `after`.

        Cost follows the page, not the stock. `criteria` are EDC's, over asset properties.
        """
        ...

    def find(self, asset_id: str, bpn: str | None, groups: Collection[str] = ()) -> Offering | None:
        """The offering of one asset, or None."""
        ...


class TwinRepository(Repository[RegisteredShell], Protocol):
    """The twins of the node's own registry, also found by those who may see them."""

    def search(
        self, reader: Reader, wanted: Sequence[AssetLink], *, after: str = "", limit: int
    ) -> list[RegisteredShell]:
        """At most `limit` twins by id, behind the id `after`, that have all links `wanted` for this reader.

        Without links: all that the reader sees. The records are whole; what of them may be shown, `visibility` says.
        """
        ...

    def guard(self, policy_id: str, audience: frozenset[str] | None) -> None:
        """Remember for whom an access policy of twins is (`policy.audience`), in place of what was known of it."""
        ...

    def guards(self, policy_id: str) -> bool:
        """Whether twins have been published under this access policy."""
        ...

    def policies_for(self, bpn: str | None, groups: Collection[str]) -> list[str]:
        """The access policies of twins that somebody can satisfy at all, by number or groups; to be judged yet."""
        ...


class Tx(Protocol):
    """One transaction. Nothing here can be awaited."""

    assets: Repository[Asset]
    policies: Repository[PolicyDefinition]
    definitions: Repository[ContractDefinition]
    partners: Repository[BusinessPartner]
    negotiations: ProcessRepository[Negotiation]
    agreements: Repository[Agreement]
    transfers: ProcessRepository[Transfer]
    edrs: Repository[Edr]
    grants: Repository[Grant]
    secrets: Repository[Secret]
    payloads: Repository[Payload]
    passports: Repository[PassportVersion]
    twins: TwinRepository
    rules: Repository[AccessRule]
    credentials: Repository[HeldCredential]
    credential_requests: Repository[CredentialRequest]
    shown: Repository[ShownCredentials]
    outbox: Repository[Outgoing]
    timers: Repository[Timer]
    offers: OfferIndex

    def send(self, message: Outgoing) -> None:
        """Promise a message: it is stored here and dispatched after the commit."""
        ...

    def drop_messages(self, topic: str) -> None:
        """Take back the messages of a topic that have no answer yet (callbacks have topics of their own)."""
        ...

    def set_timer(self, timer: Timer) -> None:
        """Promise a wake-up; one of the same id is replaced."""
        ...

    def drop_timers(self, subject: str) -> None:
        """Forget the wake-ups about `subject`."""
        ...

    def emit(self, event: Happened) -> None:
        """Tell the node's listeners after the commit."""
        ...

    def take_up(self) -> None:
        """Take care of everything promised that nobody else takes care of; all of it comes with this commit."""
        ...

    def hand_over(self, messages: Sequence[str]) -> None:
        """Let messages leave that came as `elsewhere`, by their ids: the replica that has their lane is told."""
        ...


@dataclass(frozen=True, slots=True)
class Commit:
    """What a transaction promised, handed to listeners in commit order, after the commit.

    `dropped` are the topics whose earlier messages it took back; `messages` were promised after that. `elsewhere` are
    messages whose lane another replica runs, which has to be told when they may leave (`Tx.hand_over`).

    complete: `messages` and `timers` are all there are for us to take care of (`Tx.take_up`).
    changed: another replica has committed something about the records of these ids; then there are no events.
    """

    dropped: tuple[str, ...] = ()
    events: tuple[Happened, ...] = ()
    messages: tuple[Outgoing, ...] = ()
    elsewhere: tuple[Outgoing, ...] = ()
    timers: tuple[Timer, ...] = ()
    complete: bool = False
    changed: tuple[str, ...] = ()


class Store(Protocol):
    """The database."""

    async def run(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` in one transaction and return what it returned, after the commit. What it raises rolls back."""
        ...

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run `fn` on a snapshot, beside the writer. Writing in it fails."""
        ...

    def listen(self, listener: Callable[[Commit], None]) -> None:
        """Call `listener` in the event loop after each commit that promised or told something, in commit order.

        It is called in the context (contextvars) of the `run` that committed, even if that caller has been cancelled.
        """
        ...

    async def close(self) -> None:
        """Finish what is running and release the database."""
        ...


class Waiter(Protocol):
    """Waits for what a process comes to: the engine."""

    async def wait_until(
        self,
        identifier: str,
        reached: Callable[[], Awaitable[bool]],
        seconds: float,
        worth: Callable[[Happened], bool] = ...,
    ) -> None:
        """Return when `reached` says so or the time is over; ask it again after each event that is `worth` it."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a message, as the identity verified it.

    `claims` are the verified token's, the sender's own words; `credentials` are what issuers we trust say of it.
    """

    id: str
    bpn: str | None
    claims: Mapping[str, object]
    credentials: tuple[ProvenCredential, ...] = ()


class Identity(Protocol):
    """How this node proves who it is, and who others are."""

    @property
    def id(self) -> str:
        """Our participant id."""
        ...

    async def token(self, audience: str, *, address: str, claims: Mapping[str, str] | None = None) -> str:
        """The Authorization header for one message to participant `audience` at DSP address `address`."""
        ...

    async def verify(self, authorization: str | None, *, single_use: bool = True) -> Caller:
        """Who sent this header. Raise PeerError 401, or 503 if it cannot be told right now.

        single_use: refuse a token that was seen before. Only token refreshes repeat their `jti`, by design; they bring
        no credentials of their own, so the caller has those that were proven last, if they still stand.
        """
        ...

    async def shown(self, participant_id: str) -> tuple[ProvenCredential, ...]:  # noqa: ARG002 - for those who ask
        """What issuers we trust say of a participant, as far as it has proven it here lately and it still stands.

        An identity that knows no credentials knows none of anybody.
        """
        return ()


class Answer(Protocol):
    """A complete answer of a peer, whatever its status; header names are looked up in any case."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers."""
        ...

    @property
    def body(self) -> bytes:
        """The unpacked body."""
        ...

    def json(self) -> object:
        """The body as JSON, None if empty. Raise Unreachable if it is something else."""
        ...


class Wire(Protocol):
    """The way out, with its guard against addresses that strangers may not make us call."""

    def check(self, url: str) -> None:
        """Raise PeerError 400 if messages must not go to `url`."""
        ...

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Answer:
        """Send and read the whole answer (bounded). Raise Unreachable if there is none."""
        ...


class Ids(Protocol):
    """Fresh identifiers; simulations have a seeded source."""

    def __call__(self) -> str:
        """A new id that is safe in a URL path (a bare UUID)."""
        ...


class Directory(Protocol):
    """Which business partner number belongs to which participant."""

    def bpn_of(self, participant_id: str) -> str | None:
        """The BPN, or None if it is not known."""
        ...

    def did_of(self, bpn: str) -> str | None:
        """The participant id, or None if it is not known."""
        ...

    async def find(self, bpn: str) -> str | None:
        """As `did_of`, but what has to be looked up elsewhere first is waited for."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """A payload as it will be served: its canonical bytes (RFC 8785), their digest (RFC 9530), and a detached JWS."""

    body: bytes
    digest: str
    signature: str


class Notary(Protocol):
    """Stands for what payloads say: checks them, signs ours, verifies theirs."""

    @property
    def kid(self) -> str:
        """The key that signs ours, as our DID document names it."""
        ...

    def seal(self, semantic_id: str, payload: object) -> Seal:
        """Check a payload of ours and sign it. Raise Invalid with the JSON pointer of the first fault."""
        ...

    async def check_model(self, body: bytes, headers: Mapping[str, str], semantic_id: str) -> ModelCheck:
        """Hold a received payload to an aspect model. Never raises for what a peer sent."""
        ...

    async def verify(self, body: bytes, headers: Mapping[str, str], *, signer: str, model: ModelCheck) -> Verification:
        """Judge a received payload: digest, signature, signer, schema. Never raises for what a peer sent."""
        ...

    def check(self, semantic_id: str, payload: object) -> None:
        """Raise Invalid with the JSON pointer of the first fault if a payload does not fit its aspect model."""
        ...

    def issue(self, passport: object, about: About) -> tuple[bytes, Issued]:
        """Sign a passport that has been checked: its canonical bytes, and the credential over its groups.

        Raise Invalid with the JSON pointer of a member that has no disclosure class.
        """
        ...

    def seal_view(self, semantic_id: str, view: object, classes: frozenset[str]) -> Seal:
        """Check and sign what a reader of these disclosure classes sees of a payload. Raise Invalid."""
        ...

    def bind(self, presentation: SdJwt, *, audience: str, nonce: str, agreement_id: str, now: int) -> SdJwt:
        """Make a presentation out for one reader, its nonce and an agreement."""
        ...

    async def did_document(self, did: str) -> Mapping[str, Any]:
        """The DID document that keys of `did` are found in. Raise PeerError or Unreachable."""
        ...

    def judge(self, bundle: Bundle, *, passport_id: str, issuer: str, now: int) -> Report:
        """Judge a passport that was fetched just now, by the keys of the DID document in it. Never raises.

        passport_id, issuer: which one was asked for, and of whom.
        """
        ...


@dataclass(frozen=True, slots=True)
class Twin:
    """A published passport as its digital twin announces it.

    `passport_id` and `asset_id` name passport and asset; `serial` is the part instance's, `model` the manufacturer's
    part id, `manufacturer` a BPNL. `semantic_ids` are the aspects that the asset serves; `policies` the access policies
    that decide, whenever somebody asks, who may know of it.
    """

    passport_id: str
    asset_id: str
    serial: str
    model: str
    manufacturer: str
    semantic_ids: tuple[str, ...]
    policies: tuple[PolicyDefinition, ...]


class TwinRegistry(Protocol):
    """Where published passports can be found by what stands on the battery."""

    def register(self, tx: Tx, twin: Twin, now: int) -> None:
        """Announce a passport, or what has changed about it; part of the transaction that publishes it."""
        ...

    def withdraw(self, tx: Tx, passport_id: str) -> None:
        """Announce it no longer; nothing happens if it never was."""
        ...


class DataPlane(Protocol):
    """What lets data out."""

    def formats(self, asset: Asset) -> tuple[str, ...]:
        """The transfer formats this asset can be had in (`HttpData-PULL`, `HttpData-PUSH`)."""
        ...

    def check(self, asset: Asset) -> None:  # noqa: ARG002 - a data plane may take any address
        """Raise Invalid with the place of the fault if the data address can never be served; unknown types may pass."""
        return

    def open_pull(
        self, transfer: Transfer, consumer_bpn: str | None, now: int, opened: Grant | None = None
    ) -> tuple[DataAddress, Grant]:
        """A fresh address with an access token, and the grant that it belongs to.

        opened: the grant of a transfer that is open already; its tokens stay good, and it is returned as it is.
        """
        ...

    async def push(
        self, transfer: Transfer, asset: Asset, consumer_bpn: str | None, *, headers: Mapping[str, str]
    ) -> None:
        """Send the asset's data to the transfer's destination. Raise Unreachable if that fails.

        headers: they travel with the data, unless the destination asks for others of these names.
        """
        ...


class Refresher(Protocol):
    """Keeps endpoint data references usable."""

    async def fresh(self, edr_id: str, *, force: bool = False) -> Edr:
        """The reference with a token that is still good; `force` gets a new one in any case.

        Raise NotFound, Conflict (forced, but the provider gave no refresh token) or Unreachable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an issuer answers to a request: what it calls it (None if it did not say), and where to ask how it goes."""

    issuer_pid: str | None
    status_url: str | None


class Holder(Protocol):
    """The side of our wallet that talks to issuers (DCP 1.0, 6.4 and 6.8)."""

    @property
    def needed(self) -> Sequence[str]:
        """The types of credentials that we have to hold."""
        ...

    @property
    def issuer(self) -> str:
        """The DID of the issuer that is asked for those that are missing, "" if there is none."""
        ...

    async def ask(self, request: CredentialRequest, code: str | None) -> Receipt:
        """Send a request. Raise PeerError if the issuer refused it, Unreachable if it may be sent again."""
        ...

    async def status(self, request: CredentialRequest) -> str:
        """How far the issuer says that a request is. Raise PeerError, Unreachable, or Conflict: it was not taken."""
        ...

    async def recheck(self) -> Mapping[str, str]:
        """Look at the status of what we hold as issuers publish it now; by id, why some would be refused."""
        ...
