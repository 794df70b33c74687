"""edc-client as a provider, and its generated controllers of what a provider has."""

from typing import Final

import edc_client
from edc_client.exceptions import ConflictException, NotFoundException
from edc_client.rest import ApiException

from tests.interop.clients.cases.edc_scene import CLIENT, CONTEXT, Scene
from tests.interop.clients.cases.world import Cases, raises, same

case: Final[Cases[Scene]] = Cases(CLIENT)


@case("offer: create_asset, create_policy, create_contract_definition, list_assets")
def _(here: Scene) -> None:
    asset = here.offer("made")
    (shown,) = (row for row in here.provider.list_assets() if row["@id"] == asset)
    same((shown["properties"]["name"], shown["dataAddress"]["baseUrl"]), ("Test asset", f"{here.backend.url}/data"))


@case("offer: with an authenticated source (flavor construct_x)")
def _(here: Scene) -> None:
    node = here.nodes.provider
    asset = here.name("authed")
    authed = edc_client.connector.Connector("construct_x", node.management, node.did, node.dsp, node.api_key)
    same(authed.create_asset(asset, here.backend.url)["@id"], asset)
    address = here.api("AssetV3Api", provider=True).get_asset_v3(asset).data_address.additional_properties
    same((address["authKey"], address["authCode"]), ("x-api-key", "someAuthCode"))


@case("AssetV3Api: create, get, query, update, remove")
def _(here: Scene) -> None:
    there, ident = here.api("AssetV3Api", provider=True), here.name("typed")

    def asset(name: str) -> edc_client.AssetInputV3:
        address = {"type": "HttpData", "baseUrl": here.backend.url}
        doc = {"@context": CONTEXT, "@id": ident, "properties": {"name": name}, "dataAddress": address}
        return edc_client.AssetInputV3.from_dict(doc)

    same(there.create_asset_v3(asset("first")).id, ident)
    there.update_asset_v3(asset("second"))
    same(there.get_asset_v3(ident).properties["name"], "second")
    wanted = edc_client.Criterion(
        type="Criterion", operand_left="https://w3id.org/edc/v0.0.1/ns/name", operator="=", operand_right="second"
    )
    found = there.request_assets_v3(edc_client.QuerySpec(type="QuerySpec", filter_expression=[wanted]))
    same([row.id for row in found], [ident])
    there.remove_asset_v3(ident)
    with raises(NotFoundException, "404", ident):
        there.get_asset_v3(ident)


@case("PolicyDefinitionV3Api: create, get, query, validate, plan, update, delete")
def _(here: Scene) -> None:
    there, ident = here.api("PolicyDefinitionV3Api", provider=True), here.name("policy")

    def policy(*actions: str) -> edc_client.PolicyDefinitionInputV3:
        rules = [{"action": action} for action in actions]
        inner = {"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set", "permission": rules}
        return edc_client.PolicyDefinitionInputV3.from_dict({"@context": CONTEXT, "@id": ident, "policy": inner})

    same(there.create_policy_definition_v3(policy()).id, ident)
    there.update_policy_definition_v3(ident, policy("use"))
    same(there.get_policy_definition_v3(ident).policy["odrl:permission"], {"odrl:action": {"@id": "odrl:use"}})
    assert ident in [row.id for row in there.query_policy_definitions_v3()]
    same(there.validate_policy_definition_v3(ident).is_valid, expected=True)
    scope = edc_client.PolicyEvaluationPlanRequestSchemaV3(policy_scope="catalog")
    same(len(there.create_execution_plane_v3(ident, scope)["permissionSteps"]), 1)
    there.delete_policy_definition_v3(ident)
    with raises(NotFoundException, "404"):
        there.get_policy_definition_v3(ident)


@case("ContractDefinitionV3Api: create, get, query, update, delete")
def _(here: Scene) -> None:
    there, ident = here.api("ContractDefinitionV3Api", provider=True), here.name("definition")
    for policy in ("one", "two"):
        here.provider.create_policy(f"{ident}-{policy}")

    def definition(policy: str) -> edc_client.ContractDefinitionInputV3:
        doc = {"@context": CONTEXT, "@id": ident, "accessPolicyId": policy, "contractPolicyId": policy}
        return edc_client.ContractDefinitionInputV3.from_dict({**doc, "assetsSelector": []})

    same(there.create_contract_definition_v3(definition(f"{ident}-one")).id, ident)
    there.update_contract_definition_v3(definition(f"{ident}-two"))
    same(there.get_contract_definition_v3(ident).access_policy_id, f"{ident}-two")
    there.delete_contract_definition_v3(ident)  # it offers every asset
    with raises(NotFoundException, "404"):
        there.get_contract_definition_v3(ident)


@case("SecretV3Api: create, get, update, remove")
def _(here: Scene) -> None:
    there, ident = here.api("SecretV3Api", provider=True), here.name("secret")

    def secret(value: str) -> edc_client.SecretInputV3:
        return edc_client.SecretInputV3.from_dict({"@context": CONTEXT, "@id": ident, "value": value})

    same(there.create_secret_v3(secret("s3cret")).id, ident)
    there.update_secret_v3(secret("other"))
    same(there.get_secret_v3(ident).value, "other")
    there.remove_secret_v3(ident)
    with raises(NotFoundException, "404"):
        there.get_secret_v3(ident)


@case("DataplaneSelectorV3Api: the data plane")
def _(here: Scene) -> None:
    (plane,) = here.api("DataplaneSelectorV3Api", provider=True).get_all_data_plane_instances_v3()
    same((plane.state, "HttpData" in plane.allowed_source_types), ("AVAILABLE", True))


@case("refused: an id twice (ApiException), removing what is agreed on (Conflict)")
def _(here: Scene) -> None:
    asset = here.offer("kept")
    with raises(ApiException, "409", "exists already"):
        here.provider.create_asset(asset, here.backend.url)
    here.agree(asset)
    with raises(ConflictException, "409", "under an agreement"):
        here.provider.remove_asset(asset)
    with raises(NotFoundException, "404"):
        here.provider.remove_asset("none")
