"""A typed client of the management API.

    async with Client("http://127.0.0.1:8181/management", api_key) as node:
        provider = Provider("did:web:maker.example", "https://maker.example/api/v1/dsp/2025-1")
        fetched = await node.obtain(provider, "passport-4711")
        assert fetched.verified is not None and fetched.verified.ok

It works with our nodes; everything but payloads, timelines, fetches, dead letters and waits also with EDC's (v3).
Every method raises ApiError and nothing else on purpose.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from connector.client.api import TIMEOUT_S, Api, ApiError, Fault, failure
from connector.client.credentials import Credential, CredentialRequest, Credentials
from connector.client.exchanging import (
    WAIT_S,
    Agreements,
    Catalogs,
    DeadLetters,
    Edrs,
    Negotiations,
    Transfers,
    by_id,
    one_dataset,
    reached,
)
from connector.client.finding import Found, find
from connector.client.model import (
    Agreement,
    Asset,
    Catalog,
    Check,
    DataAddress,
    Dataset,
    DeadLetter,
    Entry,
    Fetched,
    ModelVerdict,
    Negotiation,
    Offer,
    Page,
    Provider,
    Timeline,
    Transfer,
    Verified,
)
from connector.client.offering import offer, template
from connector.client.passports import For, Passports
from connector.client.publishing import Assets, Definitions, Payloads, Policies, Secrets

__all__ = [
    "Agreement",
    "ApiError",
    "Asset",
    "Catalog",
    "Check",
    "Client",
    "Credential",
    "CredentialRequest",
    "DataAddress",
    "Dataset",
    "DeadLetter",
    "Entry",
    "Fault",
    "Fetched",
    "For",
    "Found",
    "ModelVerdict",
    "Negotiation",
    "Offer",
    "Page",
    "Provider",
    "Timeline",
    "Transfer",
    "Verified",
    "template",
]


class Client:
    """One node's management API, its methods grouped by resource. Use it with `async with`."""

    def __init__(self, management_url: str, api_key: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """`management_url` goes up to the API's path, as in http://127.0.0.1:8181/management."""
        self.api = Api(management_url, api_key, timeout_s=timeout_s)
        self.assets = Assets(self.api)
        self.policies = Policies(self.api)
        self.definitions = Definitions(self.api)
        self.payloads = Payloads(self.api)
        self.secrets = Secrets(self.api)
        self.catalogs = Catalogs(self.api)
        self.negotiations = Negotiations(self.api)
        self.agreements = Agreements(self.api)
        self.transfers = Transfers(self.api)
        self.edrs = Edrs(self.api)
        self.dead_letters = DeadLetters(self.api)
        self.passports = Passports(self.api)
        self.credentials = Credentials(self.api)

    async def __aenter__(self) -> Self:
        await self.api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.api.__aexit__(kind, error, trace)

    async def check(self, name: str = "readiness") -> dict[str, Any]:
        """Ask for the node's health (health, readiness, startup, liveness). Raise ApiError 503 if it is not well."""
        return dict(await self.api.get(f"/check/{name}"))

    async def offer(
        self, offer_id: str, assets: Iterable[str], *, access: str | dict[str, Any], contract: str | dict[str, Any]
    ) -> None:
        """Offer assets: a contract definition with its policies, made or replaced; see `offering.offer`."""
        await offer(self.policies, self.definitions, offer_id, assets, access=access, contract=contract)

    async def agree(self, provider: Provider, dataset: str | Dataset, *, timeout_s: float = WAIT_S) -> str:
        """Get a contract on the first offer of a dataset (or of its id in the catalog). Return the agreement's id."""
        if isinstance(dataset, str):
            dataset = one_dataset(await self.catalogs.request(provider, by_id(dataset)), dataset)
        negotiation = await self.negotiations.conclude(provider, dataset.offers[0], timeout_s=timeout_s)
        reached(negotiation, "FINALIZED")
        if negotiation.agreement_id is None:
            raise failure(f"negotiation {negotiation.id} is final, but names no agreement")
        return negotiation.agreement_id

    async def pull(self, agreement_id: str, *, timeout_s: float = WAIT_S) -> str:
        """Start a pull under an agreement and wait until it runs. Return the transfer's id."""
        transfer = await self.transfers.pull(agreement_id, timeout_s=timeout_s)
        reached(transfer, "STARTED")
        return transfer.id

    async def find(
        self,
        code: str,
        *,
        provider: str | None = None,
        semantic_id: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> Found:
        """From what stands on a battery to its passport: registry, contract, transfer, data, verification.

        provider: a DID or BPN, for codes that do not say whose battery it is. Look at `ok` before using anything.
        The transfer goes on, so that the next scan is fast.
        """
        return await find(self.api, code, provider=provider, semantic_id=semantic_id, timeout_s=timeout_s)

    async def obtain(
        self,
        provider: Provider,
        dataset: str | Dataset,
        *,
        semantic_id: str | None = None,
        timeout_s: float = WAIT_S,
    ) -> Fetched:
        """The whole exchange: contract, transfer, data, verification; then the transfer is completed.

        dataset: of a catalog, or its id. semantic_id: the aspect model that it has to be; without it the payload is
        held to the one it claims. Look at `verified` before using anything.
        """
        agreement_id = await self.agree(provider, dataset, timeout_s=timeout_s)
        transfer_id = await self.pull(agreement_id, timeout_s=timeout_s)
        fetched = await self.transfers.fetch(transfer_id, semantic_id=semantic_id)
        await self.transfers.complete(transfer_id)
        return fetched
