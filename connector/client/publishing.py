"""What a provider does: assets, policies, contract definitions, secrets, and payloads of the passport store."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from connector.client.api import POLICY_CONTEXT, Api, ApiError, path
from connector.client.model import Asset, Doc, Page, ids
from connector.exchange.query import Criterion, QuerySpec
from connector.protocol.vocabulary import EDC

EVERYTHING: Final = QuerySpec()


def query_json(spec: QuerySpec) -> dict[str, Any]:
    """EDC's QuerySpec."""
    doc: dict[str, Any] = {
        "@type": "QuerySpec",
        "offset": spec.offset,
        "limit": spec.limit,
        "sortOrder": "DESC" if spec.descending else "ASC",
        "filterExpression": [criterion.to_json() for criterion in spec.criteria],
    }
    return doc | ({"sortField": spec.sort_field} if spec.sort_field else {})


async def page(api: Api, where: str, spec: QuerySpec) -> Page[Doc]:
    """One page of a list, and how many there are in all."""
    reply = await api.call("POST", where, query_json(spec))
    rows = tuple(reply.body or ())
    return Page(rows, len(rows) if reply.total is None else reply.total)


async def put_or_post(api: Api, resource: str, body: Doc, *named: str) -> None:
    """Replace an object, or make it if there is none of its id. `named`: the id, where EDC's PUT has it in the path."""
    try:
        await api.put(path("v3", resource, *named), body)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        await api.post(path("v3", resource), body)


class Assets:
    """`/v3/assets`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, asset_id: str, *, properties: Doc | None = None, data_address: Mapping[str, str]) -> str:
        """Make an asset whose data lies at `data_address` (`type` and what that type needs). Return its id."""
        body = self._body(asset_id, properties, data_address)
        return str((await self._api.post("/v3/assets", body))["@id"])

    async def put(self, asset_id: str, *, properties: Doc | None = None, data_address: Mapping[str, str]) -> None:
        """The same under an id that may have been another asset's before."""
        await put_or_post(self._api, "assets", self._body(asset_id, properties, data_address))

    @staticmethod
    def _body(asset_id: str, properties: Doc | None, data_address: Mapping[str, str]) -> dict[str, Any]:
        return {"@type": "Asset", "@id": asset_id, "properties": properties or {}, "dataAddress": data_address}

    async def get(self, asset_id: str) -> Asset:
        """One asset."""
        return Asset.of(await self._api.get(path("v3", "assets", asset_id)))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[Asset]:
        """A page of assets, oldest first unless `spec` says otherwise."""
        found = await page(self._api, "/v3/assets/request", spec)
        return Page(tuple(Asset.of(doc) for doc in found.items), found.total)

    async def remove(self, asset_id: str) -> None:
        """Withdraw an asset; 409 while an agreement or a running negotiation is about it."""
        await self._api.delete(path("v3", "assets", asset_id))


class Policies:
    """`/v3/policydefinitions`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, policy_id: str, policy: Doc) -> str:
        """Keep an ODRL policy under a name. Return the name."""
        return str((await self._api.post("/v3/policydefinitions", self._body(policy_id, policy)))["@id"])

    async def put(self, policy_id: str, policy: Doc) -> None:
        """Keep an ODRL policy under a name that may have been another policy's before."""
        await put_or_post(self._api, "policydefinitions", self._body(policy_id, policy), policy_id)

    @staticmethod
    def _body(policy_id: str, policy: Doc) -> dict[str, Any]:
        return {"@context": POLICY_CONTEXT, "@type": "PolicyDefinition", "@id": policy_id, "policy": policy}

    async def get(self, policy_id: str) -> dict[str, Any]:
        """One policy definition, as EDC has it."""
        return dict(await self._api.get(path("v3", "policydefinitions", policy_id)))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[str]:
        """The names of a page of policies."""
        found = await page(self._api, "/v3/policydefinitions/request", spec)
        return Page(tuple(ids(found.items)), found.total)

    async def evaluate(self, policy_id: str, *, counterparty: str, scope: str) -> dict[str, Any]:
        """Try a policy on a counterparty without doing anything; the answer says what decided."""
        body = {"counterPartyId": counterparty, "scope": scope}
        return dict(await self._api.post(path("v3", "policydefinitions", policy_id, "evaluate"), body))

    async def explain(self, question: Doc) -> dict[str, Any]:
        """Why somebody would be let in or not: `policy` or `policyId`, `scope`, and what is to be known of whom.

        Members that are left out (`counterPartyId`, `bpn`, `groups`, `credentials`, ...) are what the node knows.
        """
        return dict(await self._api.post("/v3/policies/explain", {"@context": POLICY_CONTEXT, **question}))

    async def remove(self, policy_id: str) -> None:
        """Forget a policy; 409 while a contract definition names it."""
        await self._api.delete(path("v3", "policydefinitions", policy_id))


class Definitions:
    """`/v3/contractdefinitions`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(
        self, definition_id: str, *, access_policy: str, contract_policy: str, assets: Iterable[str]
    ) -> str:
        """Offer `assets` (ids; every asset if there are none) to whom `access_policy` lets see them. Return the id."""
        body = self._body(definition_id, access_policy, contract_policy, assets)
        return str((await self._api.post("/v3/contractdefinitions", body))["@id"])

    async def put(self, definition_id: str, *, access_policy: str, contract_policy: str, assets: Iterable[str]) -> None:
        """The same under an id that may have offered something else before."""
        body = self._body(definition_id, access_policy, contract_policy, assets)
        await put_or_post(self._api, "contractdefinitions", body)

    @staticmethod
    def _body(definition_id: str, access_policy: str, contract_policy: str, assets: Iterable[str]) -> dict[str, Any]:
        wanted = tuple(assets)
        selector = [Criterion(f"{EDC}id", "in", wanted)] if wanted else []
        return {
            "@type": "ContractDefinition",
            "@id": definition_id,
            "accessPolicyId": access_policy,
            "contractPolicyId": contract_policy,
            "assetsSelector": [criterion.to_json() for criterion in selector],
        }

    async def get(self, definition_id: str) -> dict[str, Any]:
        """One contract definition, as EDC has it."""
        return dict(await self._api.get(path("v3", "contractdefinitions", definition_id)))

    async def query(self, spec: QuerySpec = EVERYTHING) -> Page[str]:
        """The ids of a page of contract definitions."""
        found = await page(self._api, "/v3/contractdefinitions/request", spec)
        return Page(tuple(ids(found.items)), found.total)

    async def remove(self, definition_id: str) -> None:
        """Stop offering; agreements are not touched."""
        await self._api.delete(path("v3", "contractdefinitions", definition_id))


class Payloads:
    """`/v3/payloads`: data that the node keeps, checks and signs itself."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def publish(
        self, asset_id: str, payload: object, *, semantic_id: str, properties: Doc | None = None
    ) -> dict[str, Any]:
        """Have a payload checked against its aspect model, signed and kept under its asset, made or replaced.

        Return what `get` does.

        Raise ApiError 400 with the JSON pointer of the first fault below /payload; then nothing has changed.
        """
        body = {"semanticId": semantic_id, "properties": properties or {}, "payload": payload}
        return dict(await self._api.put(path("v3", "payloads", asset_id), body))

    async def get(self, asset_id: str) -> dict[str, Any]:
        """What is known of a published payload (semantic id, digest, signature, size), without the payload."""
        return dict(await self._api.get(path("v3", "payloads", asset_id)))


class Secrets:
    """`/v3/secrets`: values that data addresses refer to by name."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, secret_id: str, value: str) -> None:
        """Keep a secret; 409 if the name is taken."""
        await self._api.post("/v3/secrets", {"@type": "Secret", "@id": secret_id, "value": value})

    async def remove(self, secret_id: str) -> None:
        """Forget a secret."""
        await self._api.delete(path("v3", "secrets", secret_id))
