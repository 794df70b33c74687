"""Our client's requests, read as EDC reads them: by a JSON-LD processor, which knows nothing but the context."""

from typing import Any

from connector.client import Offer
from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC, ODRL
from connector.semantics.expansion import expand, survey
from tests.integration.dsp_world import USE
from tests.unit.client_world import PROVIDER, Api, management


def expanded(body: dict[str, Any]) -> dict[str, Any]:
    return expand(body, survey(body, Invalid), Invalid)


async def test_type_and_operator_are_edcs_and_what_is_in_a_policy_is_odrls() -> None:
    api = Api()
    for path in ("assets", "contractdefinitions", "policydefinitions", "contractnegotiations"):
        api.answer(f"POST /m/v3/{path}", {"@id": "x"})
    async with management(api) as client:
        await client.assets.create("a", data_address={"type": "HttpData", "baseUrl": "http://b.test"})
        await client.definitions.create("d", access_policy="p", contract_policy="p", assets=["a"])
        await client.policies.create("p", USE)
        await client.negotiations.start(PROVIDER, Offer("o", "a", USE))
    asset, definition, policy, request = (expanded(asked.body) for asked in api.asked)
    assert asset[f"{EDC}dataAddress"][f"{EDC}type"] == "HttpData"
    assert definition[f"{EDC}assetsSelector"][f"{EDC}operator"] == "in"
    for document in (policy, request):
        rule = document[f"{EDC}policy"][f"{ODRL}permission"]
        assert rule[f"{ODRL}action"] == {"@id": f"{ODRL}use"}
    assert request[f"{EDC}policy"][f"{ODRL}assigner"] == {"@id": PROVIDER.id}
