"""`/v3/passports`: battery passports, on both sides.

Publishing: policies first, then the passport with what it is offered for, in one call each. Fetching: from the provider
and the serial number to a proven passport; an agreement that is there already is used again.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from connector.client.api import Api, ApiError, failure, path
from connector.client.exchanging import (
    WAIT_S,
    Agreements,
    Catalogs,
    Negotiations,
    Transfers,
    one_dataset,
    reached,
)
from connector.client.model import Dataset, Doc, Provider
from connector.client.publishing import Policies
from connector.exchange.query import Criterion, QuerySpec
from connector.protocol.vocabulary import EDC

SERIAL: Final = f"{EDC}serialNumber"


@dataclass(frozen=True, slots=True)
class For:
    """For whom a passport is: audience and purpose, and the policies (ids, or ODRL) that guard and govern it.

    `classes`: what a contract with a partner opens; None for all that the audience has by itself.
    """

    audience: str
    purpose: str
    access: str | Doc
    contract: str | Doc
    classes: tuple[str, ...] | None = None


class Passports:
    """`/v3/passports`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._policies = Policies(api)

    async def publish(self, passport: object, offers: Iterable[For] = (), *, date: str | None = None) -> dict[str, Any]:
        """Publish a passport or its next version. Raise ApiError 400 with the JSON pointer of the first fault.

        date: the day (2027-02-18) at which it has to be complete; today if left out.
        """
        rows = [await self._row(offer) for offer in offers]
        body: dict[str, Any] = {"passport": passport, "offers": rows} | ({"date": date} if date else {})
        return dict(await self._api.post("/v3/passports", body))

    async def _row(self, offer: For) -> dict[str, Any]:
        row: dict[str, Any] = {"audience": offer.audience, "purpose": offer.purpose}
        for name, policy in (("accessPolicyId", offer.access), ("contractPolicyId", offer.contract)):
            row[name] = policy if isinstance(policy, str) else await self._kept(policy)
        return row | ({} if offer.classes is None else {"classes": list(offer.classes)})

    async def _kept(self, policy: Doc) -> str:
        """Keep a policy under a name made of its content, so that many passports share one."""
        name = f"passport-{_digest(policy)}"
        await self._policies.put(name, policy)
        return name

    async def check(self, passport: object, *, date: str | None = None) -> dict[str, Any]:
        """Tell what is missing for the battery's category, without publishing."""
        body: dict[str, Any] = {"passport": passport} | ({"date": date} if date else {})
        return dict(await self._api.post("/v3/passports/check", body))

    async def get(self, passport_id: str, *, version: int | None = None) -> dict[str, Any]:
        """A passport as published, with its versions; or one version."""
        which = () if version is None else ("versions", str(version))
        return dict(await self._api.get(path("v3", "passports", passport_id, *which)))

    async def view(
        self, passport_id: str, audience: str, purpose: str = "", classes: Iterable[str] = ()
    ) -> dict[str, Any]:
        """What a reader would see of the newest version."""
        query = urlencode([("audience", audience), ("purpose", purpose), *(("class", name) for name in classes)])
        return dict(await self._api.get(path("v3", "passports", passport_id, "view") + f"?{query}"))

    async def receive(self, transfer_id: str) -> dict[str, Any]:
        """Have our node get the passport of a running transfer, and judge it: {ok, verification, report, bundle}."""
        return dict(await self._api.post("/v3/passports/receive", {"transferId": transfer_id}))

    async def locate(self, did: str) -> Provider:
        """Where a participant's connector is, by its DID document."""
        found = await self._api.post("/v3/connectordiscovery/connectors", {"counterPartyId": did})
        if not found:
            raise failure(f"the DID document of {did} names no connector that can be reached")
        return Provider(found[0][f"{EDC}counterPartyId"], found[0][f"{EDC}counterPartyAddress"])

    async def fetch(self, provider: Provider, serial: str, *, timeout_s: float = WAIT_S) -> dict[str, Any]:
        """Get the passport with this serial number: contract (or the one there is), transfer, data, verdict."""
        dataset = await self._dataset(provider, serial)
        former = await self._agreed(provider, dataset.id)
        if former is not None:
            try:
                return await self._pulled(former, timeout_s)
            except ApiError:
                pass  # the provider may have retired it, which it does not tell: a new one is asked for
        negotiation = await Negotiations(self._api).conclude(provider, dataset.offers[0], timeout_s=timeout_s)
        reached(negotiation, "FINALIZED")
        return await self._pulled(negotiation.agreement_id or "", timeout_s)

    async def _pulled(self, agreement_id: str, timeout_s: float) -> dict[str, Any]:
        transfers = Transfers(self._api)
        transfer = await transfers.pull(agreement_id, timeout_s=timeout_s)
        reached(transfer, "STARTED")
        received = await self.receive(transfer.id)
        await transfers.complete(transfer.id)
        return received

    async def _dataset(self, provider: Provider, serial: str) -> Dataset:
        spec = QuerySpec(limit=2, criteria=(Criterion(SERIAL, "=", serial),))
        catalog = await Catalogs(self._api).request(provider, spec)
        if len(catalog.datasets) != 1:
            found = f"offers {len(catalog.datasets)} passports" if catalog.datasets else "offers no passport"
            raise failure(f"{catalog.participant_id} {found} with the serial number {serial} to this node")
        return one_dataset(catalog, catalog.datasets[0].id)

    async def _agreed(self, provider: Provider, asset_id: str) -> str | None:
        """The newest agreement on an asset of this provider, if there is one."""
        criteria = (Criterion("assetId", "=", asset_id), Criterion("providerId", "=", provider.id))
        newest = QuerySpec(limit=1, sort_field="createdAt", descending=True, criteria=criteria)
        found = await Agreements(self._api).query(newest)
        return found.items[0].id if found.items else None


def _digest(policy: Doc) -> str:
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()[:24]
