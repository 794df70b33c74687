"""What both sides do with a counterparty: catalogs, negotiations, agreements, transfers, and the data itself."""

from collections.abc import Mapping
from typing import Final

from connector.client.api import POLICY_CONTEXT, Api, failure, path
from connector.client.model import (
    ENDED,
    Agreement,
    Catalog,
    DataAddress,
    Dataset,
    DeadLetter,
    Doc,
    Fetched,
    Negotiation,
    Offer,
    Page,
    Provider,
    Timeline,
    Transfer,
)
from connector.client.publishing import EVERYTHING, page, query_json
from connector.exchange.query import Criterion, QuerySpec
from connector.protocol.versions import root_url
from connector.protocol.vocabulary import EDC, HTTP_PULL, PROTOCOL, VERSION

WAIT_S: Final = 30.0
"""How long a wait lasts at most; an exchange takes a fraction of a second when both sides are up."""
_APPROVAL: Final[Mapping[tuple[str, str], str]] = {
    ("PROVIDER", "REQUESTED"): "agree",
    ("CONSUMER", "OFFERED"): "accept",
    ("PROVIDER", "ACCEPTED"): "agree",
    ("CONSUMER", "AGREED"): "verify",
    ("PROVIDER", "VERIFIED"): "finalize",
}
"""The step that leads towards a contract, by our role and the state."""


class Catalogs:
    """`/v3/catalog`: what providers show us."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def locate(self, participant: str, address: str) -> Provider:
        """Find out where a connector speaks our version of the protocol, from its root URL or any address of it.

        participant: a DID, or a BPN that our node's directory knows.
        """
        root = root_url(address).removesuffix(f"/{VERSION}")
        body = {"counterPartyId": participant, "counterPartyAddress": root}
        found = await self._api.post("/v3/connectordiscovery/dspversionparams", body)
        return Provider(found[f"{EDC}counterPartyId"], found[f"{EDC}counterPartyAddress"])

    async def request(self, provider: Provider, spec: QuerySpec = EVERYTHING) -> Catalog:
        """A provider's catalog, one page of at most `spec.limit` datasets."""
        body = {"@type": "CatalogRequest", **provider.to_json(), "querySpec": query_json(spec)}
        return Catalog.of(await self._api.post("/v3/catalog/request", body))

    async def dataset(self, provider: Provider, dataset_id: str) -> Dataset:
        """One dataset; ApiError 502 if the provider does not show it to us."""
        body = {"@type": "DatasetRequest", "@id": dataset_id, **provider.to_json()}
        return Dataset.parse(await self._api.post("/v3/catalog/dataset/request", body))


class Negotiations:
    """`/v3/contractnegotiations`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def start(self, provider: Provider, offer: Offer) -> str:
        """Ask for a contract on exactly the terms of an offer of the catalog. Return the negotiation's id."""
        return str((await self._api.post("/v3/contractnegotiations", self._request(provider, offer)))["@id"])

    async def conclude(self, provider: Provider, offer: Offer, *, timeout_s: float = WAIT_S) -> Negotiation:
        """Ask for a contract and wait, in one request: the negotiation when it is final or over, or as it then is."""
        body = self._request(provider, offer)
        doc = await self._api.post("/v3/contractnegotiations", body, wait="FINALIZED", timeout_s=timeout_s)
        return Negotiation.of(doc)

    @staticmethod
    def _request(provider: Provider, offer: Offer) -> dict[str, object]:
        parties = {"assigner": provider.id, "target": offer.dataset_id}
        policy = {**offer.policy, "@type": "Offer", "@id": offer.id, **parties}
        return {"@context": POLICY_CONTEXT, "@type": "ContractRequest", **provider.to_json(), "policy": policy}

    async def get(self, negotiation_id: str) -> Negotiation:
        """A negotiation as it stands."""
        return Negotiation.of(await self._api.get(path("v3", "contractnegotiations", negotiation_id)))

    async def wait(self, negotiation_id: str, state: str = "FINALIZED", *, timeout_s: float = WAIT_S) -> Negotiation:
        """The negotiation as soon as it is in `state` or has ended, or as it stands after `timeout_s`."""
        where = path("v3", "contractnegotiations", negotiation_id)
        return Negotiation.of(await self._api.get(where, wait=state, timeout_s=timeout_s))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[Negotiation]:
        """A page of negotiations."""
        found = await page(self._api, "/v3/contractnegotiations/request", spec)
        return Page(tuple(Negotiation.of(doc) for doc in found.items), found.total)

    async def timeline(self, negotiation_id: str) -> Timeline:
        """What happened, in order, and whose turn it is."""
        return Timeline.of(await self._api.get(path("v3", "contractnegotiations", negotiation_id, "timeline")))

    async def approve(self, negotiation_id: str) -> str:
        """Let a negotiation that is held for a person take its next step: agree, accept, ... Return which."""
        negotiation = await self.get(negotiation_id)
        step = _APPROVAL.get((negotiation.role, negotiation.state))
        if step is None:
            raise failure(f"nothing is to be approved: as {negotiation.role.lower()}, it is {negotiation.state} here")
        await self._api.post(path("v3", "contractnegotiations", negotiation_id, step))
        return step

    async def terminate(self, negotiation_id: str, reason: str) -> None:
        """End a negotiation; the counterparty is told why."""
        body = {"@type": "TerminateNegotiation", "@id": negotiation_id, "reason": reason}
        await self._api.post(path("v3", "contractnegotiations", negotiation_id, "terminate"), body)


class Agreements:
    """`/v3/contractagreements`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def get(self, agreement_id: str) -> Agreement:
        """One agreement."""
        return Agreement.of(await self._api.get(path("v3", "contractagreements", agreement_id)))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[Agreement]:
        """A page of agreements."""
        found = await page(self._api, "/v3/contractagreements/request", spec)
        return Page(tuple(Agreement.of(doc) for doc in found.items), found.total)


class Transfers:
    """`/v3/transferprocesses`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def start(
        self, agreement_id: str, *, transfer_type: str = HTTP_PULL, destination: Mapping[str, str] | None = None
    ) -> str:
        """Ask for the data of an agreement; a push needs a `destination` with a baseUrl. Return the transfer's id."""
        body = self._request(agreement_id, transfer_type, destination)
        return str((await self._api.post("/v3/transferprocesses", body))["@id"])

    async def pull(self, agreement_id: str, *, timeout_s: float = WAIT_S) -> Transfer:
        """Ask for a pull and wait, in one request: the transfer when it runs or is over, or as it then is."""
        body = self._request(agreement_id, HTTP_PULL, None)
        doc = await self._api.post("/v3/transferprocesses", body, wait="STARTED", timeout_s=timeout_s)
        return Transfer.of(doc)

    @staticmethod
    def _request(agreement_id: str, transfer_type: str, destination: Mapping[str, str] | None) -> dict[str, object]:
        body = {"@type": "TransferRequest", "contractId": agreement_id, "transferType": transfer_type}
        where = {"dataDestination": {"type": "HttpData", **destination}} if destination else {}
        return {**body, "protocol": PROTOCOL, **where}

    async def get(self, transfer_id: str) -> Transfer:
        """A transfer as it stands."""
        return Transfer.of(await self._api.get(path("v3", "transferprocesses", transfer_id)))

    async def wait(self, transfer_id: str, state: str = "STARTED", *, timeout_s: float = WAIT_S) -> Transfer:
        """The transfer as soon as it is in `state` or has ended, or as it stands after `timeout_s`."""
        where = path("v3", "transferprocesses", transfer_id)
        return Transfer.of(await self._api.get(where, wait=state, timeout_s=timeout_s))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[Transfer]:
        """A page of transfers."""
        found = await page(self._api, "/v3/transferprocesses/request", spec)
        return Page(tuple(Transfer.of(doc) for doc in found.items), found.total)

    async def timeline(self, transfer_id: str) -> Timeline:
        """What happened, in order, and whose turn it is."""
        return Timeline.of(await self._api.get(path("v3", "transferprocesses", transfer_id, "timeline")))

    async def fetch(self, transfer_id: str, *, semantic_id: str | None = None, subpath: str = "") -> Fetched:
        """Have our node pull the data of a running transfer and verify it.

        semantic_id: the aspect model that it has to be; data without proof then fails. subpath: below the endpoint.
        """
        asked = {"semanticId": semantic_id, "path": subpath}
        body = {name: value for name, value in asked.items() if value}
        return Fetched.of(await self._api.post(path("v3", "transferprocesses", transfer_id, "fetch"), body))

    async def approve(self, transfer_id: str) -> None:
        """As provider, start a transfer that is held for a person."""
        await self._act(transfer_id, "start")

    async def suspend(self, transfer_id: str, reason: str) -> None:
        """Pause a transfer: its token opens nothing until it is resumed."""
        await self._act(transfer_id, "suspend", reason)

    async def resume(self, transfer_id: str) -> None:
        """Go on with a suspended transfer."""
        await self._act(transfer_id, "resume")

    async def complete(self, transfer_id: str) -> None:
        """End a transfer that has done its work."""
        await self._act(transfer_id, "complete")

    async def terminate(self, transfer_id: str, reason: str) -> None:
        """Break a transfer off; the counterparty is told why."""
        await self._act(transfer_id, "terminate", reason)

    async def _act(self, transfer_id: str, verb: str, reason: str | None = None) -> None:
        await self._api.post(path("v3", "transferprocesses", transfer_id, verb), {"reason": reason} if reason else None)


class Edrs:
    """`/v3/edrs`: how applications get at the data of a running pull themselves."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def address(self, transfer_id: str) -> DataAddress:
        """Endpoint and token; a token that is about to expire is refreshed first."""
        return DataAddress.of(await self._api.get(path("v3", "edrs", transfer_id, "dataaddress")))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[Doc]:
        """A page of endpoint data references, as EDC has them."""
        return await page(self._api, "/v3/edrs/request", spec)

    async def forget(self, transfer_id: str) -> None:
        """Drop a reference; the transfer itself goes on."""
        await self._api.delete(path("v3", "edrs", transfer_id))


class DeadLetters:
    """`/v3/deadletters`: messages that could not be delivered."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[DeadLetter]:
        """A page of dead letters."""
        found = await page(self._api, "/v3/deadletters/request", spec)
        return Page(tuple(DeadLetter.of(doc) for doc in found.items), found.total)

    async def retry(self, message_id: str) -> None:
        """Try to deliver once more, now."""
        await self._api.post(path("v3", "deadletters", message_id, "retry"))


def one_dataset(catalog: Catalog, dataset_id: str) -> Dataset:
    """The dataset, or an ApiError that says what a person can do about it."""
    found = catalog.dataset(dataset_id)
    if found is None or not found.offers:
        raise failure(f"{catalog.participant_id} does not offer {dataset_id} to this node: ask the provider for access")
    return found


def by_id(dataset_id: str) -> QuerySpec:
    """A catalog query for one dataset."""
    return QuerySpec(limit=1, criteria=(Criterion(f"{EDC}id", "=", dataset_id),))


def reached(process: Negotiation | Transfer, state: str) -> None:
    """Raise ApiError unless a process has come where it was to come."""
    kind = type(process).__name__.lower()
    if process.state == state:
        return
    if process.state in ENDED:
        reason = process.error or "no reason given"
        raise failure(f"the {kind} of {process.asset_id} was ended ({process.state}): {reason}")
    held = f" ({process.error})" if process.error else ""
    raise failure(f"the {kind} {process.id} is still {process.state}{held}: look again with '{kind} show'")
