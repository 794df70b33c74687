"""What the management tests share: one node in memory behind a real listener, and a counterparty that a test writes.

Every answer is compared with the OpenAPI file (`management_contract`).
"""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp
from typing_extensions import override
from yarl import URL

from connector.engine.engine import Engine
from connector.exchange import negotiation_inbound, transfer_inbound
from connector.exchange.node import Node
from connector.exchange.offer_ids import offer_id
from connector.exchange.ports import Caller, Clock, DataPlane, Refresher, Store, Wire
from connector.exchange.records import Asset, CallbackAddress, Edr, Grant, Transfer
from connector.exchange.strategy import AutomaticNegotiation, AutomaticTransfer, Manual, NegotiationStrategy
from connector.http.health import Check
from connector.http.management import management_app
from connector.http.server import Listener, serve
from connector.identity.directory import Directory
from connector.identity.keys import SigningKey, VerificationKey
from connector.identity.mock import MockIdentity
from connector.passport.notary import KeyNotary
from connector.passport.verification import seal
from connector.policy.equality import fingerprint
from connector.policy.parse import parse_policy
from connector.protocol.errors import Conflict, NotFound, PeerError, Unreachable
from connector.protocol.negotiation_messages import (
    ContractAgreementMessage,
    ContractAgreementVerificationMessage,
    ContractNegotiationEventMessage,
    ContractOfferMessage,
    ContractRequestMessage,
)
from connector.protocol.transfer_messages import DataAddress, TransferRequestMessage, TransferStartMessage
from connector.protocol.vocabulary import HTTP_ENDPOINT, HTTP_PULL, HTTP_PUSH
from connector.semantics.registry import bundled
from connector.storage.sqlite import SqliteStore
from tests.integration.management_contract import Reply, assert_promised

OURS, THEIRS = "did:web:ours.example", "did:web:theirs.example"
OUR_BPN, THEIR_BPN = "BPNL00000000OURS", "BPNL0000000THEIR"
PEER_DSP = "https://theirs.example/api/v1/dsp/2025-1"
KEY = "the-operators-key"
NOW = 1_790_000_000_000
VOCAB = {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}
EDC = VOCAB["@vocab"]


class FixedClock(Clock):
    """Time that passes only for those who wait for it; once `stopped`, waiting has no end and `awaited` tells of it."""

    def __init__(self) -> None:
        self.at = NOW
        self.stopped = False
        self.awaited = asyncio.Event()

    @override
    def now(self) -> int:
        return self.at

    @override
    async def sleep_until(self, at: int) -> None:
        if self.stopped:
            self.awaited.set()
            await asyncio.Event().wait()
        self.at = max(self.at, at)


class Said(NamedTuple):
    """An answer of the counterparty."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    def json(self) -> object:
        try:
            return json.loads(self.body) if self.body else None
        except ValueError as error:
            raise Unreachable("not JSON") from error


class Sent(NamedTuple):
    method: str
    url: str
    headers: Mapping[str, str]
    body: Any


class RecordingWire(Wire):
    """Keeps what was sent. `answers` say what comes back for the end of a URL; else messages are acknowledged."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.answers: dict[str, Said | Exception] = {}
        self._news = asyncio.Event()

    @override
    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise PeerError(400, f"messages must not go to {url}")

    @override
    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None, timeout_s: float = 10.0
    ) -> Said:
        assert timeout_s > 0
        self.sent.append(Sent(method, url, headers, json.loads(body) if body else None))
        self._news.set()
        for end, answer in self.answers.items():
            if url.endswith(end):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return self._acknowledged(url, self.sent[-1].body)

    @staticmethod
    def _acknowledged(url: str, body: Mapping[str, Any]) -> Said:
        if url.endswith("/negotiations/request"):
            doc = {"@type": "ContractNegotiation", "consumerPid": body["consumerPid"], "state": "REQUESTED"}
            return said(201, doc | {"providerPid": f"their-{body['consumerPid']}"})
        if url.endswith("/negotiations/offers"):
            doc = {"@type": "ContractNegotiation", "providerPid": body["providerPid"], "state": "OFFERED"}
            return said(201, doc | {"consumerPid": f"their-{body['providerPid']}"})
        if url.endswith("/transfers/request"):
            doc = {"@type": "TransferProcess", "consumerPid": body["consumerPid"], "state": "REQUESTED"}
            return said(201, doc | {"providerPid": f"their-{body['consumerPid']}"})
        return Said(200)

    async def arrived(self, end: str, kind: str) -> dict[str, Any]:
        """The first body of this `type` to a URL with this end, as soon as it is there."""
        async with asyncio.timeout(10):
            while not (found := [b for b in self.bodies(end) if b.get("type") == kind]):
                self._news.clear()
                await self._news.wait()
        event: dict[str, Any] = found[0]
        return event

    def bodies(self, end: str) -> list[Any]:
        return [s.body for s in self.sent if s.url.endswith(end)]


def said(status: int, doc: object, **headers: str) -> Said:
    return Said(status, json.dumps(doc).encode(), {"Content-Type": "application/json", **headers})


class OnePlane(DataPlane):
    """A data plane that knows HTTP backends and the passport store."""

    @override
    def formats(self, asset: Asset) -> tuple[str, ...]:
        return (HTTP_PULL, HTTP_PUSH) if asset.data_address.get("type") in ("HttpData", "PassportStore") else ()

    @override
    def open_pull(
        self, transfer: Transfer, consumer_bpn: str | None, now: int, opened: Grant | None = None
    ) -> tuple[DataAddress, Grant]:
        address = DataAddress(endpoint_type=HTTP_ENDPOINT, endpoint="https://ours.example/public")
        return address, Grant(
            transfer.id, now, transfer.peer.id, consumer_bpn, transfer.agreement_id, transfer.asset_id
        )

    @override
    async def push(
        self, transfer: Transfer, asset: Asset, consumer_bpn: str | None, *, headers: Mapping[str, str]
    ) -> None:
        raise Unreachable(f"nothing to push {asset.id} of {transfer.id} with for {consumer_bpn}")


class CountingRefresher(Refresher):
    """Numbers its tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.refreshed = 0

    @override
    async def fresh(self, edr_id: str, *, force: bool = False) -> Edr:
        edr = await self._store.read(lambda tx: tx.edrs.get(edr_id))
        if force and "refreshToken" not in edr.address:
            raise Conflict("the provider gave no refresh token")
        self.refreshed += 1
        token = {"authorization": f"token-{self.refreshed}"} if "refreshToken" in edr.address else {}
        return Edr(**{n: getattr(edr, n) for n in edr.__slots__} | {"address": {**edr.address, **token}})


@dataclass
class World:
    """A node, its API, and what its counterparty can do."""

    node: Node
    engine: Engine
    wire: RecordingWire
    hooks: RecordingWire
    listener: Listener
    session: aiohttp.ClientSession
    clock: FixedClock
    key: SigningKey
    refresher: CountingRefresher
    peer: Caller = field(default_factory=lambda: Caller(THEIRS, THEIR_BPN, {}))

    async def call(
        self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str
    ) -> Reply:
        """Call the API below its base path; `raw` is sent as it is."""
        return await self.at(method, "/management" + path, body, raw=raw, **headers)

    async def at(
        self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: str
    ) -> Reply:
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {
            "X-Api-Key": KEY,
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        url = URL(self.listener.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            text = await response.read()
            reply = Reply(response.status, json.loads(text) if text else None, response.headers)
        below = re.sub("/+", "/", path.partition("?")[0])
        assert_promised(method, re.sub("^/(management|api)(?=/)", "", below), reply)
        return reply

    async def ok(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Call the API; the answer must be a success, its body is returned."""
        reply = await self.call(method, path, body)
        assert reply.status in (200, 204), reply.body
        return reply.body

    async def offer(self, asset: str = "asset-1") -> str:
        """Offer an asset to everybody on open terms; return the offer's id."""
        await self.ok("POST", "/v3/assets", asset_json(asset))
        await self.ok("POST", "/v3/policydefinitions", {"@context": VOCAB, "@id": f"open-{asset}", "policy": OPEN})
        await self.ok("POST", "/v3/contractdefinitions", definition_json(f"def-{asset}", f"open-{asset}", asset))
        return offer_id(f"def-{asset}", asset, fingerprint(parse_policy(OPEN)))

    async def peer_requests(
        self, offer: str, asset: str = "asset-1", pid: str = "their-1", terms: Mapping[str, Any] | None = None
    ) -> str:
        """The counterparty asks for one of our offers; return our negotiation's id."""
        asked = {**(terms or OPEN), "@type": "Offer", "@id": offer, "target": asset}
        message = ContractRequestMessage(consumer_pid=pid, offer=asked, callback_address=PEER_DSP)
        return (await negotiation_inbound.receive_request(self.node, self.peer, message)).provider_pid

    async def peer_agrees(self, negotiation: str, agreement: str = "agreement-1") -> None:
        """The counterparty, as provider, agrees to what we asked for."""
        asked = await self.node.store.read(lambda tx: tx.negotiations.get(negotiation))
        policy = asked.offer.to_json(
            **{"@type": "Agreement", "@id": agreement, "assigner": THEIRS, "assignee": OURS},
            timestamp="2026-09-21T14:13:20Z",
        )
        message = ContractAgreementMessage(
            id=self.node.ids(), consumer_pid=negotiation, provider_pid=f"their-{negotiation}", agreement=policy
        )
        await negotiation_inbound.receive_agreement(self.node, self.peer, negotiation, message)

    async def peer_offers(self, negotiation: str) -> None:
        """The counterparty, as provider, answers with an offer of its own."""
        asked = await self.node.store.read(lambda tx: tx.negotiations.get(negotiation))
        message = ContractOfferMessage(
            id=self.node.ids(),
            consumer_pid=negotiation,
            provider_pid=f"their-{negotiation}",
            offer=asked.offer.to_json(assigner=THEIRS),
        )
        await negotiation_inbound.receive_offer(self.node, self.peer, negotiation, message)

    async def peer_verifies(self, negotiation: str, pid: str = "their-1") -> None:
        """The counterparty, as consumer, confirms our agreement."""
        message = ContractAgreementVerificationMessage(id=self.node.ids(), consumer_pid=pid, provider_pid=negotiation)
        await negotiation_inbound.receive_verification(self.node, self.peer, negotiation, message)

    async def sold(self, asset: str = "asset-1") -> tuple[str, str]:
        """Make a contract as provider; return the ids of negotiation and agreement."""
        negotiation = await self.peer_requests(await self.offer(asset), asset)
        agreed = await self.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=AGREED")
        await self.peer_verifies(negotiation)
        await self.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=FINALIZED")
        return negotiation, agreed["contractAgreementId"]

    async def peer_finalizes(self, negotiation: str) -> None:
        message = ContractNegotiationEventMessage(
            id=self.node.ids(),
            consumer_pid=negotiation,
            provider_pid=f"their-{negotiation}",
            event_type="FINALIZED",
        )
        await negotiation_inbound.receive_event(self.node, self.peer, negotiation, message)

    async def contract(self, agreement: str = "agreement-1", asset: str = "their-asset") -> str:
        """Make a contract as consumer; return the negotiation's id."""
        created = await self.ok("POST", "/v3/contractnegotiations?wait=REQUESTED", contract_json(asset))
        negotiation: str = created["@id"]
        await self.peer_agrees(negotiation, agreement)
        await self.ok("GET", f"/v3/contractnegotiations/{negotiation}?wait=VERIFIED")
        await self.peer_finalizes(negotiation)
        return negotiation

    async def pull(self, agreement: str = "agreement-1", **address: str) -> str:
        """Start a pull under an agreement and have the counterparty start it; return the transfer's id."""
        body = {"@context": VOCAB, "contractId": agreement, "transferType": HTTP_PULL}
        transfer = (await self.ok("POST", "/v3/transferprocesses?wait=REQUESTED", body))["@id"]
        await self.peer_starts(transfer, **address)
        return str(transfer)

    async def peer_starts(self, transfer: str, **address: str) -> None:
        named = {"endpoint": "https://theirs.example/public", "authorization": "their-token", **address}
        message = TransferStartMessage(
            id=self.node.ids(),
            consumer_pid=transfer,
            provider_pid=f"their-{transfer}",
            data_address=DataAddress(
                endpoint_type=HTTP_ENDPOINT,
                endpoint=named["endpoint"],
                properties=tuple((EDC + name, value) for name, value in named.items()),
            ),
        )
        await transfer_inbound.receive_start(self.node, self.peer, transfer, message)

    async def peer_pulls(self, agreement: str, pid: str = "their-transfer") -> str:
        """The counterparty asks for the data of one of our agreements; return our transfer's id."""
        message = TransferRequestMessage(
            consumer_pid=pid, agreement_id=agreement, format=HTTP_PULL, callback_address=PEER_DSP
        )
        return (await transfer_inbound.receive_request(self.node, self.peer, message)).provider_pid

    def sealed(self, payload: object, semantic_id: str) -> Said:
        """The payload as the counterparty would serve it if it had our key."""
        body = json.dumps(payload).encode()
        return Said(200, body, {"Content-Type": "application/json", **seal(body, semantic_id, self.key)})


OPEN: dict[str, Any] = {"@type": "Set", "permission": [{"action": "use"}]}


def asset_json(ident: str) -> dict[str, Any]:
    address = {"type": "HttpData", "baseUrl": "https://backend.example/data"}
    return {"@context": VOCAB, "@type": "Asset", "@id": ident, "properties": {"name": "A"}, "dataAddress": address}


def definition_json(ident: str, policy: str, asset: str | None = None) -> dict[str, Any]:
    chosen = [{"operandLeft": EDC + "id", "operator": "=", "operandRight": asset}] if asset else []
    doc = {"@context": VOCAB, "@id": ident, "accessPolicyId": policy, "contractPolicyId": policy}
    return doc | {"assetsSelector": chosen}


def contract_json(asset: str = "their-asset", **members: Any) -> dict[str, Any]:
    policy = {**OPEN, "@type": "Offer", "@id": f"offer-of-{asset}", "assigner": THEIRS, "target": asset}
    doc = {"@context": [VOCAB, "http://www.w3.org/ns/odrl.jsonld"], "@type": "ContractRequest", "policy": policy}
    return doc | {"counterPartyAddress": PEER_DSP, "protocol": "dataspace-protocol-http:2025-1", **members}


def query_json(*criteria: tuple[str, str, Any], **members: Any) -> dict[str, Any]:
    rows = [dict(zip(("operandLeft", "operator", "operandRight"), c, strict=True)) for c in criteria]
    return {"@context": VOCAB, "@type": "QuerySpec", "filterExpression": rows, **members}


def numbered() -> Callable[[], str]:
    """Ids that a test can foresee."""
    count = itertools.count(1)
    return lambda: f"id-{next(count)}"


@asynccontextmanager
async def world(
    *,
    negotiations: NegotiationStrategy | None = None,
    manual: bool = False,
    callbacks: Iterable[CallbackAddress] = (),
    checks: Iterable[Check] = (),
) -> AsyncIterator[World]:
    """A world; `manual` leaves every decision to the operator."""
    store, clock, key = await SqliteStore.open(), FixedClock(), SigningKey.generate(THEIRS)
    directory = Directory({OUR_BPN: OURS, THEIR_BPN: THEIRS})
    wire, hooks, refresher = RecordingWire(), RecordingWire(), CountingRefresher(store)

    async def find_key(kid: str) -> VerificationKey:
        if not kid.startswith(THEIRS):
            raise PeerError(401, f"there is no key {kid}")
        return VerificationKey.from_jwk(key.public_jwk())

    async def connectors_of(did: str) -> list[str]:
        if did != THEIRS:
            raise NotFound(f"there is no document for {did}")
        return ["https://theirs.example/api/v1/dsp", "https://silent.example/dsp"]

    strategy = Manual() if manual else None
    node = Node(
        dsp_address="https://ours.example/api/v1/dsp/2025-1",
        store=store,
        clock=clock,
        ids=numbered(),
        identity=MockIdentity(OURS, directory),
        wire=wire,
        hooks=hooks,
        data_plane=OnePlane(),
        directory=directory,
        notary=KeyNotary(key, bundled(), find_key),
        refresher=refresher,
        negotiations=negotiations or strategy or AutomaticNegotiation(),
        transfers=strategy or AutomaticTransfer(),
        connectors_of=connectors_of,
        jitter=lambda: 0.5,
        callbacks=tuple(callbacks),
    )
    engine = Engine(node)
    await engine.start()
    app = management_app(node, engine, api_key=KEY, data_url="https://ours.example/public", checks=tuple(checks))
    listener = await serve(app, "127.0.0.1", 0)
    async with aiohttp.ClientSession() as session:
        yield World(node, engine, wire, hooks, listener, session, clock, key, refresher)
    await listener.close()
    await engine.close()
    await store.close()
