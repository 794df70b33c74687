"""tractusx-sdk when it does not work out: which exception the caller gets, and that no data comes."""

import json
import os
import signal
from typing import Final

import requests
from tractusx_sdk.dataspace.models.connector.model_factory import ModelFactory

from tests.interop.clients.cases.tractusx_exchanging import (
    agree,
    negotiations,
    pulled,
    reaches,
    start,
    state,
    until_refused,
)
from tests.interop.clients.cases.tractusx_offering import ids, query
from tests.interop.clients.cases.tractusx_scene import CLIENT, OPEN, VERSION, Scene, service
from tests.interop.clients.cases.world import DATA, Cases, dead_address, raises, same, until

case: Final[Cases[Scene]] = Cases(CLIENT)


@case("error: no such asset, no such dct:type (RuntimeError: not in the catalog)")
def _(here: Scene) -> None:
    with raises(RuntimeError, "not possible to find a valid policy", "No asset was found"):
        here.obtain("urn:none")
    with raises(RuntimeError, "No asset was found"):
        here.consumer.do_get_by_dct_type(**here.partner(), dct_type="urn:none", policies=here.allowed())
    with raises(RuntimeError, "No policy found in catalog"):
        here.obtain("urn:none", policies=None)


@case("error: no offer is on the allow-list; the list is empty")
def _(here: Scene) -> None:
    asset = here.offer("unwanted")
    with raises(RuntimeError, "No valid policy was found"):
        here.obtain(asset, policies=[{"permission": OPEN}])
    with raises(ValueError, "No policy has been selected"):
        here.obtain(asset, policies=[])
    same(negotiations(here, asset), [])


@case("error: the provider refuses (RuntimeError: TERMINATED): other BPN, past end")
def _(here: Scene) -> None:
    for left, operator, right in (
        ("BusinessPartnerNumber", "isAnyOf", ["BPNL000000000000"]),
        ("DataUsageEndDate", "eq", "2020-01-01T00:00:00+00:00"),
    ):
        rule = {"action": "use", "constraint": {"leftOperand": left, "operator": operator, "rightOperand": right}}
        asset = here.offer("refused", usage=[rule])
        with raises(RuntimeError, "was TERMINATED by the provider"):
            here.obtain(asset, policies=None)
        (ident,) = negotiations(here, asset)
        assert left in here.consumer.contract_negotiations.get_by_id(ident).json()["errorDetail"]


@case("error: a request without the offer's constraints ends TERMINATED")
def _(here: Scene) -> None:
    asset = here.offer("forged")
    (dataset,) = here.consumer.get_catalog_by_asset_id(**here.partner(), asset_id=asset)["dataset"]
    forged = dataset["hasPolicy"][0] | {"permission": OPEN}
    ident = here.consumer.start_edr_negotiation(**here.partner(), target=asset, policy=forged)
    until(lambda: state(here.consumer.contract_negotiations, ident) == "TERMINATED")
    same(here.consumer.get_edr_entry(ident), None)


@case("error: another's agreement; unknown ids (404)")
def _(here: Scene) -> None:
    agreement = agree(here, here.offer("mine"))
    model = ModelFactory.get_transfer_process_model(
        dataspace_version=VERSION,
        counter_party_address=here.nodes.provider.dsp,
        contract_id=agreement,
        transfer_type="HttpData-PULL",
        data_destination={"type": "HttpProxy"},
    )
    same(service(here.nodes.mortal).consumer.transfer_processes.create(model).status_code, 404)
    same(here.consumer.contract_negotiations.get_by_id("none").status_code, 404)
    same(here.consumer.transfer_processes.get_state_by_id("none").status_code, 404)
    with raises(ConnectionError, "not possible to get the edr"):
        here.consumer.get_edr("none")
    same(here.consumer.edrs.refresh("none").status_code, 404)


@case("error: a transfer that either side has ended gives no data")
def _(here: Scene) -> None:
    agreement = agree(here, here.offer("ended"))
    for ending in (here.consumer, service(here.nodes.provider).consumer):
        transfer = start(here, agreement)
        same(pulled(here, transfer) == DATA, expected=True)
        url, token = here.consumer.get_endpoint_with_token(transfer)
        ident = transfer
        if ending is not here.consumer:
            theirs = ending.transfer_processes.query(query("correlationId", transfer))
            (ident,) = ids(theirs)
        same(terminate(ending, ident), 204)
        reaches(here, transfer, "TERMINATED")
        until_refused(url, token)
        with raises(ConnectionError, "not possible to get the edr"):
            here.consumer.get_endpoint_with_token(transfer)


def terminate(by: object, transfer: str) -> int:
    """TerminateTransfer, for which the SDK has no model of its own."""
    body = json.dumps({"@context": {"@vocab": "https://w3id.org/edc/v0.0.1/ns/"}, "reason": "that is all"})
    answer = by.transfer_processes.adapter.post(  # type: ignore[attr-defined]
        url=f"/v3/transferprocesses/{transfer}/terminate", data=body
    )
    return int(answer.status_code)


@case("error: a remembered transfer that has ended fails until it is forgotten")
def _(here: Scene) -> None:
    asset, consumer = here.offer("forgotten"), here.fresh_consumer()
    same(here.obtain(asset, consumer).content == DATA, expected=True)
    agreement = consumer.contract_negotiations.query(query("assetId", asset)).json()[0]["contractAgreementId"]
    (transfer,) = ids(consumer.transfer_processes.query(query("contractId", agreement)))
    same(terminate(consumer, transfer), 204)
    reaches(here, transfer, "TERMINATED")
    with raises(ConnectionError, "not possible to get the edr"):
        here.obtain(asset, consumer)
    consumer.connection_manager.clear_connections_by_party(here.nodes.provider.did)
    same(here.obtain(asset, consumer).content == DATA, expected=True)


@case("error: the provider's source is away (502 of the data plane)")
def _(here: Scene) -> None:
    asset = here.name("sourceless")
    here.provider.create_asset(asset_id=asset, base_url=dead_address())
    here.provider.create_policy(policy_id=f"{asset}:p", permissions=OPEN)
    here.provider.create_contract(f"{asset}:o", f"{asset}:p", f"{asset}:p", asset)
    same(here.obtain(asset, policies=None).status_code, 502)


@case("error: nobody at the address (ConnectionError, 502)")
def _(here: Scene) -> None:
    with raises(ConnectionError, "not possible to get the catalog", "502"):
        here.obtain("urn:any", counter_party_address=dead_address())


@case("error: the provider dies; data and catalog end in an exception")
def _(here: Scene) -> None:
    mortal = here.nodes.mortal
    asset = here.offer("last", by=service(mortal).provider)
    who = {"counter_party_id": mortal.did, "counter_party_address": mortal.dsp}
    consumer = here.fresh_consumer()
    same(here.obtain(asset, consumer, **who).content == DATA, expected=True)
    (dataset,) = consumer.get_catalog_by_asset_id(**who, asset_id=asset)["dataset"]
    os.kill(mortal.pid, signal.SIGKILL)
    with raises(requests.exceptions.ConnectionError):
        here.obtain(asset, consumer, **who)  # the remembered transfer; the data plane is away
    with raises(ConnectionError, "502"):
        here.obtain(asset, here.fresh_consumer(), **who)
    ident = consumer.start_edr_negotiation(**who, target=asset, policy=dataset["hasPolicy"][0])
    assert state(consumer.contract_negotiations, ident) in {"INITIAL", "REQUESTING"}
    same(consumer.get_edr_entry(ident), None)
