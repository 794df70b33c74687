"""tractusx-sdk as a provider: assets, policies and contract definitions, made, read, listed, changed and removed."""

import json
from typing import Any, Final

from tractusx_sdk.dataspace.models.connector.model_factory import ModelFactory
from tractusx_sdk.dataspace.models.connector.saturn import EvaluationPolicyModel

from tests.interop.clients.cases.tractusx_scene import CLIENT, CONTEXT, OPEN, PROXY, VERSION, Scene
from tests.interop.clients.cases.world import Cases, raises, same

case: Final[Cases[Scene]] = Cases(CLIENT)

EDC: Final = "https://w3id.org/edc/v0.0.1/ns/"
PASSPORT: Final = "https://w3id.org/catenax/taxonomy#DigitalProductPassport"


def query(left: str, right: str) -> Any:  # noqa: ANN401 - untyped SDK
    """The SDK's QuerySpec with one criterion."""
    wanted = [{"operandLeft": left, "operator": "=", "operandRight": right}]
    return ModelFactory.get_queryspec_model(dataspace_version=VERSION, filter_expression=wanted)


def ids(answer: Any) -> list[str]:  # noqa: ANN401 - untyped requests
    """The ids in the answer to a query."""
    same(answer.status_code, 200)
    return [row["@id"] for row in answer.json()]


@case("offer: create_asset, create_policy, create_contract; each is read back")
def _(here: Scene) -> None:
    asset = here.offer("made", dct_type=PASSPORT, dct_subject="cx-taxo:Passport", headers={"X-Secret": "s3cret"})
    shown = here.provider.assets.get_by_id(asset).json()
    address = shown["dataAddress"]
    expected = {"type": "HttpData", "baseUrl": f"{here.backend.url}/data", "header:X-Secret": "s3cret", **PROXY}
    same({name: address.get(name) for name in expected}, expected)
    same(shown["properties"]["http://purl.org/dc/terms/type"], {"@id": PASSPORT})
    policy = here.provider.policies.get_by_id(f"{asset}:usage").json()["policy"]
    same(len(policy["odrl:permission"]["odrl:constraint"]["odrl:and"]), 2)
    definition = here.provider.contract_definitions.get_by_id(f"{asset}:offer").json()
    same((definition["accessPolicyId"], definition["contractPolicyId"]), (f"{asset}:access", f"{asset}:usage"))


@case("offer: get_all, and query by a property of each kind")
def _(here: Scene) -> None:
    value = here.name("colour")
    asset = here.offer("listed", properties={"cx-common:colour": value})
    assert asset in ids(here.provider.assets.get_all())
    assert f"{asset}:offer" in ids(here.provider.contract_definitions.get_all())
    assert f"{asset}:usage" in ids(here.provider.policies.get_all())
    colour = "https://w3id.org/catenax/ontology/common#colour"
    same(ids(here.provider.assets.query(query(f"{EDC}id", asset))), [asset])
    same(ids(here.provider.assets.query(query(colour, value))), [asset])
    same(ids(here.provider.policies.query(query("id", f"{asset}:access"))), [f"{asset}:access"])
    same(ids(here.provider.contract_definitions.query(query("accessPolicyId", f"{asset}:access"))), [f"{asset}:offer"])


@case("offer: update of an asset as it was read, with one header changed")
def _(here: Scene) -> None:
    asset = here.offer("changed", headers={"X-Key": "old"}, private_properties={"note": "mine"})
    read = here.provider.assets.get_by_id(asset).json()
    address = read["dataAddress"] | {"header:X-Key": "new"}
    model = ModelFactory.get_asset_model(
        dataspace_version=VERSION,
        oid=asset,
        context=read["@context"],
        properties=read["properties"],
        private_properties=read["privateProperties"],
        data_address=address,
    )
    same(here.provider.assets.update(model).status_code, 204)
    again = here.provider.assets.get_by_id(asset).json()
    same(again["dataAddress"], address)
    same((again["properties"], again["privateProperties"]), (read["properties"], read["privateProperties"]))


@case("offer: update of a policy and of a contract definition")
def _(here: Scene) -> None:
    asset = here.offer("moved")
    model = ModelFactory.get_policy_model(
        dataspace_version=VERSION, oid=f"{asset}:usage", context=CONTEXT, permissions=OPEN
    )
    same(here.provider.policies.update(model).status_code, 204)
    policy = here.provider.policies.get_by_id(f"{asset}:usage").json()["policy"]
    assert "odrl:constraint" not in policy["odrl:permission"], policy
    model = ModelFactory.get_contract_definition_model(
        dataspace_version=VERSION,
        oid=f"{asset}:offer",
        access_policy_id=f"{asset}:usage",
        contract_policy_id=f"{asset}:access",
        assets_selector=[],
        context={"@vocab": EDC},
    )
    same(here.provider.contract_definitions.update(model).status_code, 204)
    definition = here.provider.contract_definitions.get_by_id(f"{asset}:offer").json()
    same((definition["accessPolicyId"], definition["contractPolicyId"]), (f"{asset}:usage", f"{asset}:access"))
    same(here.provider.contract_definitions.delete(f"{asset}:offer").status_code, 204)  # it would offer all assets


@case("offer: delete of each, a policy only when nobody needs it; then 404")
def _(here: Scene) -> None:
    asset = here.offer("gone")
    same(here.provider.policies.delete(f"{asset}:usage").status_code, 409)
    same(here.provider.contract_definitions.delete(f"{asset}:offer").status_code, 204)
    for policy in ("usage", "access"):
        same(here.provider.policies.delete(f"{asset}:{policy}").status_code, 204)
    same(here.provider.assets.delete(asset).status_code, 204)
    for there, ident in (
        (here.provider.assets, asset),
        (here.provider.policies, f"{asset}:usage"),
        (here.provider.contract_definitions, f"{asset}:offer"),
    ):
        same((there.get_by_id(ident).status_code, there.delete(ident).status_code), (404, 404))


@case("offer: validate_policy and evaluation_plan name the constraints")
def _(here: Scene) -> None:
    asset = here.offer("planned")
    same(here.provider.policies.validate_policy(f"{asset}:usage").json()["isValid"], True)
    asked = EvaluationPolicyModel(policy_scope="catalog")
    plan = here.provider.policies.evaluation_plan(f"{asset}:usage", asked)
    same(plan.status_code, 200)
    assert "DataUsageEndDate" in json.dumps(plan.json()["permissionSteps"])


@case("offer refused: an id twice (409), no such policy (400), bad policy (400)")
def _(here: Scene) -> None:
    asset = here.offer("twice")
    with raises(ValueError, f"Failed to create asset {asset}", "409"):
        here.provider.create_asset(asset_id=asset, base_url=here.backend.url)
    with raises(ValueError, "409", "exists already"):
        here.provider.create_policy(policy_id=f"{asset}:usage", context=CONTEXT, permissions=OPEN)
    with raises(ValueError, "Failed to create contract", "400"):
        here.provider.create_contract(f"{asset}:other", "urn:no:policy", "urn:no:policy", asset)
    with raises(ValueError, "400", "operator"):
        wrong = [{"action": "use", "constraint": {"leftOperand": "inForceDate", "rightOperand": "2030"}}]
        here.provider.create_policy(policy_id=f"{asset}:wrong", context=CONTEXT, permissions=wrong)
