"""From what stands on a battery to its passport: registry, contract, token and data in one call.

A scan asks for little time and is repeated: by the same workshop for the next battery of the same maker, or for the
same battery, and by several at once. So what is there already is used first, for the registry as for the passport
(`pulls`). What is remembered beside the database is only where a provider's registry is.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import orjson

from connector.exchange import catalog, discovery, edrs, fetch, passport_fetch
from connector.exchange.code import PART, Code
from connector.exchange.fetch import Denied, Fetched
from connector.exchange.node import Node
from connector.exchange.passport_fetch import Proof
from connector.exchange.ports import Answer, Waiter
from connector.exchange.pulls import LONGEST_S, Offered, Pulls, understood
from connector.exchange.records import Edr, Peer
from connector.exchange.scanned import check_scanned
from connector.exchange.twins import INTERFACES, REGISTRY_TYPE
from connector.passport.verification import Check
from connector.protocol.catalog import read_catalog
from connector.protocol.errors import Invalid, NotFound, PeerError, Unreachable
from connector.protocol.versions import root_url
from connector.protocol.vocabulary import DCT, VERSION
from connector.twins.calls import write_id
from connector.twins.shell import AssetLink, Shell, Submodel

ASPECTS: Final = ("BatteryPass", "DigitalProductPassport")
"""What is taken for a passport if nobody says which aspect model it has to be."""
_CANDIDATES: Final = 5
"""Twins that are looked at if a search has several."""
_PROVIDERS: Final = 1024
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """A passport, and by which way it was had; `steps` tell a person what was done and what was there already.

    `scanned`: whether it is that of the battery which was scanned. `proof`: the credential with what proves it offline,
    None if the provider offers none; then a step says so, and only the plain aspect is proven.
    """

    provider: str
    shell_id: str
    submodel_id: str
    asset_id: str
    transfer_id: str
    fetched: Fetched = field(repr=False)
    scanned: Check
    proof: Proof | None = field(repr=False)
    steps: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """All checks hold."""
        return self.fetched.ok is True and self.scanned.ok and (self.proof is None or self.proof.report.ok)


class Finder:
    """Finds passports for one node."""

    def __init__(self, node: Node, waiter: Waiter) -> None:
        self._node = node
        self._pulls = Pulls(node, waiter)
        self._registries: dict[str, Offered] = {}

    async def find(self, code: Code, *, semantic_id: str | None = None, limit_s: float = LONGEST_S) -> Found:
        """The passport that a code leads to. `ok` says whether it is proven, and that battery's.

        semantic_id: the aspect model that it has to be. Raise Invalid (the code), NotFound (no such twin for us, or no
        passport in it) or Unreachable (a step failed or took too long; the reason says which).
        """
        try:
            async with asyncio.timeout(limit_s):
                return await _Search(self._node, self._pulls, self._registries, semantic_id).run(code)
        except TimeoutError as late:
            raise Unreachable(f"the passport was not found within {limit_s:g} s") from late


class _Search:
    """One search."""

    def __init__(self, node: Node, pulls: Pulls, registries: dict[str, Offered], semantic_id: str | None) -> None:
        self._node = node
        self._pulls = pulls
        self._registries = registries
        self._semantic_id = semantic_id
        self._steps: list[str] = []

    async def run(self, code: Code) -> Found:
        providers, links = await self._providers(code)
        for did in providers[:-1]:
            try:
                return await self._at(did, links)
            except (NotFound, Unreachable) as miss:
                self._steps.append(miss.reason)
        return await self._at(providers[-1], links)

    async def _providers(self, code: Code) -> tuple[list[str], tuple[AssetLink, ...]]:
        """Who may have the twin, at least one, and what it is known by."""
        if code.provider:
            return [await discovery.participant_of(self._node, code.provider)], code.links
        if code.page is not None:
            did, links = await self._scanned(code.page)
            return [did], links
        return await self._makers(code), code.links

    async def _makers(self, code: Code) -> list[str]:
        """Those who say that they make the part. Raise Invalid if nobody can be asked, NotFound if nobody does."""
        part = next((link.value for link in code.links if link.name == PART), None)
        if part is None or self._node.makers is None:
            raise Invalid("this code does not say whose battery it is: name the provider", "/provider")
        bpns = await self._node.makers.of_part(part)
        known = [await self._node.directory.find(bpn) for bpn in bpns]
        dids = [did for did in known if did is not None]
        if not dids:
            raise NotFound(f"no partner that we know says that it makes {part}: name the provider", value=part)
        self._steps.append(f"{part} is made by {', '.join(bpns)}")
        return dids

    async def _at(self, did: str, links: tuple[AssetLink, ...]) -> Found:
        """The passport, from this provider."""
        registry = await self._registry(did)
        try:
            shell, submodel = await self._pulls.through(
                registry, lambda ident: self._proven(registry, ident, links), self._steps
            )
        except Unreachable:
            self._registries.pop(did, None)  # it may be somewhere else by now
            raise
        passport, path = await self._offered(registry, submodel)

        aspect = self._semantic_id or next(iter(submodel.semantic_ids), None)
        named_by = fetch.REQUEST if self._semantic_id else fetch.TWIN

        async def data(ident: str) -> tuple[str, Fetched, Proof | None]:
            edr = await self._edr(ident)
            plain = await fetch.ask(self._node, edr, below(edr.address["endpoint"], path))
            got = await fetch.judged(self._node, edr, plain, semantic_id=aspect, named_by=named_by)
            return ident, got, await self._proof(edr, plain)

        transfer_id, fetched, proof = await self._pulls.through(passport, data, self._steps)
        twin = [named.link for named in shell.specific_asset_ids]
        is_passport = (aspect or "").endswith(_ASPECT_ENDS)
        scanned = check_scanned(links, twin, passport_fetch.as_json(fetched.body), passport=is_passport)
        steps = tuple(self._steps)
        return Found(did, shell.id, submodel.id, passport.asset_id, transfer_id, fetched, scanned, proof, steps)

    async def _proof(self, edr: Edr, plain: Answer) -> Proof | None:
        """The credential, where the provider offers one. Raise Denied; anything else leaves the plain aspect."""
        if not passport_fetch.is_offered(plain):
            self._steps.append(f"only the plain aspect: {edr.provider_id} offers no passport credential")
            return None
        try:
            return await passport_fetch.prove(self._node, edr, plain)
        except Denied:
            raise
        except Unreachable as fault:
            self._steps.append(f"only the plain aspect, the passport credential was not to be had: {fault.reason}")
            return None

    async def _scanned(self, page: str) -> tuple[str, tuple[AssetLink, ...]]:
        """Whose page it is, and what the twin is known by; the DID must itself name a connector on the page's host."""
        try:
            self._node.wire.check(page)
        except PeerError as error:
            raise Invalid(error.reason, "/code", page) from error
        answer = await self._node.wire.send("GET", page, headers={"Accept": "application/json"})
        doc = answer.json() if answer.status == 200 else None  # noqa: PLR2004 - HTTP
        provider = doc.get("provider") if isinstance(doc, dict) else None
        if not isinstance(doc, dict) or not isinstance(provider, str):
            raise Unreachable(f"{page} is not the page of a passport: it answered {answer.status}")
        connectors = await self._told(self._node.connectors_of(provider), f"the DID document of {provider}")
        if _origin(page) not in {_origin(url) for url in connectors}:
            raise Unreachable(f"{page} names {provider}, which has no connector at that address")
        rows = doc.get("assetLinks")
        links = [understood(AssetLink.parse, row, page) for row in (rows if isinstance(rows, list) else [])]
        self._steps.append(f"the page names {provider}")
        return provider, tuple(links[:_CANDIDATES])

    async def _registry(self, did: str) -> Offered:
        """Where a provider's registry is. Raise NotFound if it shows us none."""
        if did in self._registries:
            return self._registries[did]
        type_of = {"operandLeft": f"'{DCT}type'.'@id'", "operator": "=", "operandRight": REGISTRY_TYPE}
        for connector in await discovery.connectors(self._node, did):
            peer = Peer(did, connector.address)
            body = await catalog.ask(self._node, peer, {"filterExpression": [type_of], "limit": 1})
            for dataset in understood(read_catalog, orjson.loads(body), did).datasets:
                if len(self._registries) >= _PROVIDERS:
                    self._registries.clear()
                self._registries[did] = Offered(peer, dataset.id)
                self._steps.append(f"the registry of {did} is {dataset.id} at {peer.address}")
                return self._registries[did]
        raise NotFound(f"{did} shows this node no registry of digital twins", value=did)

    async def _proven(
        self, registry: Offered, transfer_id: str, links: tuple[AssetLink, ...]
    ) -> tuple[Shell, Submodel]:
        """The twin; looked for again after a message if it is not there.

        A registry judges us by the credentials that we have shown last. A token shows none, a message of the protocol
        does: so one that binds nobody is sent, in case that we can prove more by now.
        """
        try:
            return await self._twin(transfer_id, links)
        except NotFound:
            await catalog.ask_dataset(self._node, registry.peer, registry.asset_id)
            return await self._twin(transfer_id, links)

    async def _twin(self, transfer_id: str, links: tuple[AssetLink, ...]) -> tuple[Shell, Submodel]:
        """The twin in the registry behind a running transfer, and its passport."""
        body = orjson.dumps([{"name": link.name, "value": link.value} for link in links])
        found = await self._ask(transfer_id, "POST", "/lookup/shellsByAssetLink", body)
        result = found.get("result") if isinstance(found, dict) else found
        idents = [ident for ident in (result if isinstance(result, list) else ()) if isinstance(ident, str)]
        for ident in idents[:_CANDIDATES]:
            doc = await self._ask(transfer_id, "GET", f"/shell-descriptors/{write_id(ident)}")
            shell = understood(Shell.parse, doc, "the registry")
            if (submodel := self._passport_of(shell)) is not None:
                self._steps.append(f"the twin is {shell.id}")
                return shell, submodel
        looked_for = ", ".join(f"{link.name} {link.value}" for link in links)
        what = "no passport in the twin" if idents else "no twin that we may see"
        raise NotFound(f"the registry has {what} of {looked_for}")

    def _passport_of(self, shell: Shell) -> Submodel | None:
        for submodel in shell.submodels:
            named = submodel.semantic_ids
            if self._semantic_id in named if self._semantic_id else any(n.endswith(_ASPECT_ENDS) for n in named):
                return submodel
        return None

    async def _ask(self, transfer_id: str, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - any JSON
        edr = await self._edr(transfer_id)
        return (await fetch.ask(self._node, edr, path, method=method, body=body)).json()

    async def _edr(self, transfer_id: str) -> Edr:
        """The token of a transfer. Raise Denied if there is none any more, or if it is not renewed."""
        try:
            return await edrs.data_address(self._node, transfer_id)
        except (NotFound, Unreachable) as gone:
            raise Denied(gone.reason) from gone

    async def _offered(self, registry: Offered, submodel: Submodel) -> tuple[Offered, str]:
        """The asset that a submodel is behind, and the address of its data."""
        for endpoint in sorted(submodel.endpoints, key=lambda e: e.interface != _VALUE):
            if endpoint.asset is None or not endpoint.interface.startswith("SUBMODEL-"):
                continue
            asset_id, root = endpoint.asset
            peer = registry.peer
            if root_url(root) != peer.address.removesuffix(f"/{VERSION}"):
                found = await discovery.version_parameters(self._node, peer.id, root)
                peer = Peer(peer.id, found.address)
            return Offered(peer, asset_id), endpoint.href + ("" if endpoint.interface == _VALUE else "/$value")
        raise NotFound(f"the descriptor of {submodel.id} does not say how its data can be had")

    async def _told(self, asking: Awaitable[T], whom: str) -> T:
        try:
            return await asking
        except PeerError as error:
            raise Unreachable(f"{whom}: {error.reason}") from error


_ASPECT_ENDS: Final = tuple(f"#{aspect}" for aspect in ASPECTS)
_VALUE: Final = next(name for name in INTERFACES if "VALUE" in name)


def below(endpoint: str, href: str) -> str:
    """The part of `href` behind the endpoint that the token is for: it goes to no other place than that."""
    base = endpoint.rstrip("/")
    path = href.removeprefix(base)
    inside = href.startswith(base) and (not path or path.startswith("/"))
    if not inside or ".." in unquote(path):
        raise Unreachable(f"the twin says that the data is at {href}, but the token is for {endpoint}")
    return path


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", None
    return parts.scheme, parts.hostname or "", port
