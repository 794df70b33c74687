"""tractusx-sdk at our registry of digital twins: as its operator, and as a partner through the data plane."""

from typing import Any, Final

import requests
from tractusx_sdk.industry.models.aas.v3 import (
    AssetKind,
    GetAllShellDescriptorsResponse,
    Result,
    ShellDescriptor,
    SubModelDescriptor,
)
from tractusx_sdk.industry.services import AasService

from tests.interop.clients.cases.tractusx_scene import CLIENT, REGISTRY, Scene
from tests.interop.clients.cases.world import Cases, same

case: Final[Cases[Scene]] = Cases(CLIENT)


def registry(url: str, **headers: str) -> Any:  # noqa: ANN401 - untyped SDK
    """The SDK's service at a registry, with these header fields in every request."""
    session = requests.Session()
    session.headers.update(headers)
    return AasService(base_url=url, base_lookup_url=url, api_path="/api/v3", session=session)


def operated(here: Scene) -> Any:  # noqa: ANN401 - untyped SDK
    """The provider's own registry."""
    node = here.nodes.provider
    return registry(f"{node.host}/twins", **{"X-Api-Key": node.api_key})


def partnered(here: Scene) -> Any:  # noqa: ANN401 - untyped SDK
    """The same registry as the consumer finds it: catalog by dct:type, contract, transfer."""
    url, token = here.consumer.do_dsp_by_dct_type(**here.partner(), dct_type=REGISTRY)
    return registry(url, Authorization=token)


def links(here: Scene, *bpns: str, **named: str) -> list[dict[str, Any]]:
    keys = [{"type": "GlobalReference", "value": bpn} for bpn in bpns or [here.nodes.consumer.bpn]]
    subject = {"type": "ExternalReference", "keys": keys}
    return [{"name": name, "value": value, "externalSubjectId": subject} for name, value in named.items()]


def submodel(here: Scene) -> SubModelDescriptor:
    ident = here.name("submodel")
    keys = [{"type": "GlobalReference", "value": "urn:samm:io.catenax.pcf:7.0.0#Pcf"}]
    information = {
        "href": "https://maker.example/public/submodel",
        "endpointProtocol": "HTTP",
        "endpointProtocolVersion": ["1.1"],
        "subprotocol": "DSP",
        "subprotocolBody": f"id={ident};dspEndpoint=https://maker.example/api/v1/dsp",
        "subprotocolBodyEncoding": "plain",
        "securityAttributes": [{"type": "NONE", "key": "NONE", "value": "NONE"}],
    }
    semantics = {"type": "ExternalReference", "keys": keys}
    endpoint = {"interface": "SUBMODEL-3.0", "protocolInformation": information}
    return SubModelDescriptor(id=ident, idShort="pcf", semanticId=semantics, endpoints=[endpoint])


def shell(here: Scene, *asset_ids: dict[str, Any]) -> ShellDescriptor:
    ident = here.name("shell")
    rows = list(asset_ids) or links(here, partInstanceId=ident)
    return ShellDescriptor(id=ident, idShort="Battery", assetKind=AssetKind.INSTANCE, specificAssetIds=rows)


def fine(answer: Any) -> Any:  # noqa: ANN401 - untyped SDK
    """What the SDK made of a good answer; a Result is a refusal."""
    assert not isinstance(answer, Result), answer.messages
    return answer


@case("twins: shell and submodel descriptors created, read, changed and deleted")
def _(here: Scene) -> None:
    own, made, part = operated(here), shell(here), submodel(here)
    same(fine(own.create_asset_administration_shell_descriptor(made)).id, made.id)
    same(fine(own.get_asset_administration_shell_descriptor_by_id(made.id)).id_short, "Battery")
    made.id_short = "Cell"
    same(own.update_asset_administration_shell_descriptor(made.id, made), None)
    same(fine(own.get_asset_administration_shell_descriptor_by_id(made.id)).id_short, "Cell")
    fine(own.create_submodel_descriptor(made.id, part))
    part.id_short = "footprint"
    same(own.update_submodel_descriptor(made.id, part.id, part), None)
    same([s.id_short for s in fine(own.get_submodel_descriptors_by_aas_id(made.id, limit=1)).result], ["footprint"])
    found = fine(own.get_submodel_descriptor_by_ass_and_submodel_id(made.id, part.id))
    same(found.to_dict(), part.to_dict())
    same(own.delete_submodel_descriptor(made.id, part.id), None)
    same(own.delete_asset_administration_shell_descriptor(made.id), None)
    gone = own.get_asset_administration_shell_descriptor_by_id(made.id)
    same((type(gone), gone.messages[0].code), (Result, "404"))


@case("twins: links of a shell read, added and deleted")
def _(here: Scene) -> None:
    own, made = operated(here), shell(here)
    fine(own.create_asset_administration_shell_descriptor(made))
    same([link.name for link in own.get_assets_ids_by_asset_administration_shell_id(made.id)], ["partInstanceId"])
    more = [*made.specific_asset_ids, *shell(here, *links(here, van="7")).specific_asset_ids]
    added = own.create_all_asset_ids_links_by_asset_administration_shell_id(made.id, more)
    same([link.name for link in added], ["partInstanceId", "van"])
    same(own.delete_all_asset_ids_links_by_asset_administration_shell_id(made.id), None)
    same(own.get_assets_ids_by_asset_administration_shell_id(made.id), [])


@case("twins: a partner finds the registry by dct:type, and in it what it may see")
def _(here: Scene) -> None:
    own = operated(here)
    seen = [fine(own.create_asset_administration_shell_descriptor(shell(here))).id for _ in range(3)]
    hidden = shell(here, *links(here, "BPNL00000SOMEBODY", partInstanceId="9"))
    fine(own.create_asset_administration_shell_descriptor(hidden))
    theirs, found, cursor = partnered(here), [], None
    while True:
        page: GetAllShellDescriptorsResponse = fine(
            theirs.get_all_asset_administration_shell_descriptors(limit=2, cursor=cursor, asset_kind=AssetKind.INSTANCE)
        )
        found += [descriptor.id for descriptor in page.result]
        cursor = page.paging_metadata.cursor if page.paging_metadata else None
        if cursor is None:
            break
    assert set(seen) <= set(found), found
    assert hidden.id not in found
    same(fine(theirs.get_asset_administration_shell_descriptor_by_id(seen[0])).id, seen[0])
    one = theirs.get_asset_administration_shell_descriptor_by_id(hidden.id, bpn="BPNL00000SOMEBODY")
    same((type(one), one.messages[0].code), (Result, "404"))


@case("twins: a partner may change nothing")
def _(here: Scene) -> None:
    own, made = operated(here), shell(here)
    fine(own.create_asset_administration_shell_descriptor(made))
    theirs = partnered(here)
    for refused in (
        theirs.create_asset_administration_shell_descriptor(shell(here)),
        theirs.update_asset_administration_shell_descriptor(made.id, made),
        theirs.delete_asset_administration_shell_descriptor(made.id),
    ):
        same((type(refused), refused.messages[0].code), (Result, "405"))
