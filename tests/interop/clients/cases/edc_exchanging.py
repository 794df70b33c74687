"""edc-client as a consumer: in one call, step by step, pull and push, its controllers, and what goes wrong."""

import json
import os
import signal
from typing import Any, Final

import edc_client
from edc_client.connector import Counterparty
from edc_client.exceptions import (
    BadRequestException,
    ConflictException,
    NotFoundException,
    ServiceException,
    UnauthorizedException,
)
from edc_client.rest import ApiException

from tests.interop.clients.cases.edc_scene import CLIENT, CONTEXT, Scene, connector
from tests.interop.clients.cases.pages import read_aloud
from tests.interop.clients.cases.world import DATA, Cases, dead_address, raises, same, until

case: Final[Cases[Scene]] = Cases(CLIENT)

PROTOCOL = "dataspace-protocol-http:2025-1"
FAST = {"poll_interval": 0.1, "poll_timeout": 10}


@case("docs/how-to/use-python-clients.md: the code of the page runs")
def _(here: Scene) -> None:
    names = read_aloud(CLIENT, here.nodes, here.backend)
    same(names["answer"].data == DATA, expected=True)


@case("one call: negotiate_and_transfer, from a Connector and from a Counterparty")
def _(here: Scene) -> None:
    asset = here.offer("got")
    for seller in (here.provider, here.seller()):
        same(here.consumer.negotiate_and_transfer(seller, asset, **FAST).data == DATA, expected=True)


@case("steps: catalog, negotiate, get_negotiation, start_pull, get_edr, pull_data")
def _(here: Scene) -> None:
    agreement = here.agree(here.offer("stepped"))
    same(here.data(here.pull(agreement)) == DATA, expected=True)
    same(here.data(here.pull(agreement)) == DATA, expected=True)  # the agreement is used again


@case("steps: start_push; the provider posts the bytes to the destination")
def _(here: Scene) -> None:
    agreement, path = here.agree(here.offer("pushed")), f"/push/{here.numbers()}"
    transfer = here.consumer.start_push(here.seller(), agreement, here.backend.url + path)
    same(here.backend.wait_for(path).body == DATA, expected=True)
    here.reaches(transfer.id, "COMPLETED")


@case("steps: a callback address in the typed request is told of the start")
def _(here: Scene) -> None:
    hook = f"/hook/{here.numbers()}"
    request = edc_client.TransferRequestV3.from_dict(
        {
            "@context": CONTEXT,
            "@type": "TransferRequest",
            "counterPartyAddress": here.nodes.provider.dsp,
            "contractId": here.agree(here.offer("called")),
            "protocol": PROTOCOL,
            "transferType": "HttpData-PULL",
            "callbackAddresses": [{"uri": here.backend.url + hook, "events": ["transfer.process.started"]}],
        }
    )
    transfer = here.api("TransferProcessV3Api").initiate_transfer_process_v3(request).id
    told = here.backend.wait_for(hook).json()
    same((told["type"], told["payload"]["transferProcessId"]), ("TransferProcessStarted", transfer))
    same(here.data(transfer) == DATA, expected=True)


@case("CatalogV3Api: request_catalog")
def _(here: Scene) -> None:
    asset = here.offer("listed")
    request = edc_client.CatalogRequestV3.from_dict(
        {
            "@context": CONTEXT,
            "counterPartyAddress": here.nodes.provider.dsp,
            "counterPartyId": here.nodes.provider.did,
            "protocol": PROTOCOL,
        }
    )
    raw = here.api("CatalogV3Api").request_catalog_v3_with_http_info(request).raw_data
    assert asset in [dataset["@id"] for dataset in json.loads(raw)["dataset"]]


@case("ContractNegotiationV3Api: initiate, get, query, agreement, terminate, delete")
def _(here: Scene) -> None:
    asset, there = here.offer("typed"), here.api("ContractNegotiationV3Api")

    def initiate(offer: str) -> str:
        doc: dict[str, Any] = {
            "@context": {
                **CONTEXT,
                "assigner": {"@id": "http://www.w3.org/ns/odrl/2/assigner", "@type": "@id"},
                "target": {"@id": "http://www.w3.org/ns/odrl/2/target", "@type": "@id"},
            },
            "counterPartyAddress": here.nodes.provider.dsp,
            "protocol": PROTOCOL,
            "policy": {
                "@id": offer,
                "@type": "http://www.w3.org/ns/odrl/2/Offer",
                "assigner": here.nodes.provider.did,
                "target": asset,
            },
        }
        return str(there.initiate_contract_negotiation_v3(edc_client.ContractRequestV3.from_dict(doc)).id)

    ident = initiate(here.offer_of(asset))
    until(lambda: there.get_negotiation_state_v3(ident).state == "FINALIZED")
    shown = there.get_negotiation_v3(ident)
    same((shown.type, shown.counter_party_id, shown.protocol), ("CONSUMER", here.nodes.provider.did, PROTOCOL))
    assert ident in [row.id for row in there.query_negotiations_v3()]
    same(there.get_agreement_for_negotiation_v3(ident).id, shown.contract_agreement_id)
    with raises(ConflictException, "409", "FINALIZED"):
        there.terminate_negotiation_v3(ident, edc_client.TerminateNegotiationV3(reason="too late"))
    with raises(ConflictException, "409"):
        there.delete_negotiation_v3(ident)
    refused = initiate("no:such:offer")
    until(lambda: there.get_negotiation_state_v3(refused).state == "TERMINATED")
    there.delete_negotiation_v3(refused)
    with raises(NotFoundException, "404"):
        there.get_negotiation_v3(refused)


@case("ContractAgreementV3Api: get, query, negotiation of an agreement")
def _(here: Scene) -> None:
    asset, there = here.offer("agreed"), here.api("ContractAgreementV3Api")
    agreement = here.agree(asset)
    shown = there.get_agreement_by_id_v3(agreement)
    same((shown.asset_id, shown.provider_id), (asset, here.nodes.provider.did))
    assert agreement in [row.id for row in there.query_agreements_v3()]
    same(there.get_negotiation_by_agreement_id_v3(agreement).contract_agreement_id, agreement)


@case("TransferProcessV3Api: get, state, query, suspend, resume, terminate, deprovision")
def _(here: Scene) -> None:
    transfer, there = here.pull(here.agree(here.offer("moved"))), here.api("TransferProcessV3Api")
    shown = there.get_transfer_process_v3(transfer)
    same((shown.type, shown.counter_party_id), ("CONSUMER", here.nodes.provider.did))
    assert transfer in [row.id for row in there.query_transfer_processes_v3()]
    there.suspend_transfer_process_v3(transfer, edc_client.SuspendTransferV3())
    until(lambda: there.get_transfer_process_state_v3(transfer).state == "SUSPENDED")
    with raises(NotFoundException, "404"):
        here.consumer.get_edr(transfer)
    there.resume_transfer_process_v3(transfer)
    until(lambda: there.get_transfer_process_state_v3(transfer).state == "STARTED")
    same(here.data(transfer) == DATA, expected=True)
    there.terminate_transfer_process_v3(transfer, edc_client.TerminateTransferV3())
    until(lambda: there.get_transfer_process_state_v3(transfer).state == "TERMINATED")
    there.deprovision_transfer_process_v3(transfer)


@case("EDRCacheV3Api: data address, query, remove")
def _(here: Scene) -> None:
    transfer, there = here.pull(here.agree(here.offer("cached"))), here.api("EDRCacheV3Api")
    assert transfer in [row.id for row in there.request_edr_entries_v3()]
    assert there.get_edr_entry_data_address_v3(transfer).additional_properties["endpoint"].endswith("/public")
    there.remove_edr_entry_v3(transfer)
    with raises(NotFoundException, "404"):
        there.get_edr_entry_data_address_v3(transfer)


@case("tokens: get_edr gives a new one when the old has expired")
def _(here: Scene) -> None:
    transfer = here.pull(here.agree(here.offer("aging")))
    old = here.consumer.edr_endpoint_auth(here.consumer.get_edr(transfer))

    def expired() -> bool:
        try:
            here.consumer.pull_data(*old)
        except ApiException as error:
            return error.status in {401, 403}
        return False

    until(expired)
    same(here.data(transfer) == DATA, expected=True)


@case("error: wrong API key (UnauthorizedException, ApiException 401)")
def _(here: Scene) -> None:
    wrong = connector(here.nodes.consumer, "wrong")
    with raises(UnauthorizedException, "401"):
        wrong.negotiate_and_transfer(here.seller(), "any")
    with raises(ApiException, "401"):
        wrong.list_assets()


@case("error: no such asset in the catalog (ValueError)")
def _(here: Scene) -> None:
    asset = here.offer("there")
    with raises(ValueError, "'none' not in catalog", asset):
        here.consumer.negotiate_and_transfer(here.seller(), "none")


@case("error: an offer with rules, which this client never sends (TimeoutError)")
def _(here: Scene) -> None:
    asset = here.offer("ruled", permissions=[{"action": "use"}])
    with raises(TimeoutError, "negotiation to finalize"):
        here.consumer.negotiate_and_transfer(here.seller(), asset, poll_interval=0.1, poll_timeout=1)
    states = {n.state for n in here.api("ContractNegotiationV3Api").query_negotiations_v3() if n.error_detail}
    assert "TERMINATED" in states


@case("error: unknown ids (404), a foreign protocol version (400)")
def _(here: Scene) -> None:
    with raises(NotFoundException, "404"):
        here.consumer.get_negotiation("none")
    for unknown in (here.consumer.get_transfer_state, lambda i: here.consumer.start_pull(here.seller(), i)):
        with raises(ApiException, "404"):
            unknown("none")
    old = edc_client.connector.Connector(
        "construct_x",
        here.nodes.consumer.management,
        here.nodes.consumer.did,
        here.nodes.consumer.dsp,
        here.nodes.consumer.api_key,
    )
    with raises(BadRequestException, "400", "dataspace-protocol-http:2025-1"):
        old.fetch_catalog(here.seller())


@case("error: a transfer that the provider has ended gives no data")
def _(here: Scene) -> None:
    transfer = here.pull(here.agree(here.offer("ended")))
    reference = here.consumer.edr_endpoint_auth(here.consumer.get_edr(transfer))
    there = here.api("TransferProcessV3Api", provider=True)
    wanted = edc_client.Criterion(type="Criterion", operand_left="correlationId", operator="=", operand_right=transfer)
    (theirs,) = there.query_transfer_processes_v3(edc_client.QuerySpec(type="QuerySpec", filter_expression=[wanted]))
    there.terminate_transfer_process_v3(theirs.id, edc_client.TerminateTransferV3())
    here.reaches(transfer, "TERMINATED")
    with raises(ApiException, "403"):
        here.consumer.pull_data(*reference)
    with raises(NotFoundException, "404"):
        here.consumer.get_edr(transfer)


@case("error: nobody at the address, the provider dies (ServiceException 502)")
def _(here: Scene) -> None:
    with raises(ServiceException, "502", "no connection"):
        here.consumer.fetch_catalog(Counterparty(here.nodes.provider.did, dead_address()))
    mortal = Counterparty(here.nodes.mortal.did, here.nodes.mortal.dsp)
    same(here.consumer.fetch_catalog(mortal)["dataset"], [])
    os.kill(here.nodes.mortal.pid, signal.SIGKILL)
    with raises(ServiceException, "502"):
        here.consumer.negotiate_and_transfer(mortal, "any")
