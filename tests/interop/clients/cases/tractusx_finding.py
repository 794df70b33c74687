"""tractusx-sdk looks for offers: catalogs by id, by type, by partner number, of several partners; and discovery."""

from typing import Final

from tractusx_sdk.dataspace.models.connector.saturn import CatalogDatasetRequestModel, CatalogModel

from tests.interop.clients.cases.tractusx_offering import EDC
from tests.interop.clients.cases.tractusx_scene import CLIENT, Scene, controller, service
from tests.interop.clients.cases.world import Cases, dead_address, raises, same

case: Final[Cases[Scene]] = Cases(CLIENT)

PROTOCOL = "dataspace-protocol-http:2025-1"


def datasets(catalog: dict[str, list[dict[str, str]]]) -> list[str]:
    """The assets that a catalog offers."""
    return [dataset["@id"] for dataset in catalog["dataset"]]


@case("catalog: whole, by asset id, by dct:type and by any filter")
def _(here: Scene) -> None:
    kind = here.name("type")
    asset = here.offer("found", dct_type=kind, version="3.1")
    who = here.partner()
    assert asset in datasets(here.consumer.get_catalog(**who))
    same(datasets(here.consumer.get_catalog_by_asset_id(**who, asset_id=asset)), [asset])
    same(datasets(here.consumer.get_catalog_by_dct_type(**who, dct_type=kind)), [asset])
    version = here.consumer.get_filter_expression("https://w3id.org/catenax/ontology/common#version", "3.1")
    same(datasets(here.consumer.get_catalog_with_filter(**who, filter_expression=[version])), [asset])
    same(here.consumer.get_catalog(**who)["participantId"], here.nodes.provider.did)


@case("catalog: by partner number, with each filter")
def _(here: Scene) -> None:
    kind = here.name("type")
    asset = here.offer("found", dct_type=kind)
    who = {"bpnl": here.nodes.provider.bpn, "counter_party_address": here.nodes.provider.root}
    assert asset in datasets(here.consumer.get_catalog_with_bpnl(**who))
    same(datasets(here.consumer.get_catalog_by_asset_id_with_bpnl(**who, asset_id=asset)), [asset])
    same(datasets(here.consumer.get_catalog_by_dct_type_with_bpnl(**who, dct_type=kind)), [asset])
    same(datasets(here.consumer.get_catalog_with_bpnl(**who, filter_expression=here.by_id(asset))), [asset])


@case("catalog: get_catalogs_by_dct_type of several addresses, one of them away")
def _(here: Scene) -> None:
    kind, away = here.name("type"), dead_address()
    asset = here.offer("found", dct_type=kind)
    found = here.consumer.get_catalogs_by_dct_type(here.nodes.provider.did, [here.nodes.provider.dsp, away], kind)
    same(datasets(found[here.nodes.provider.dsp]), [asset])
    assert "502" in found[away]["error"]
    roots = [here.nodes.provider.root, away.removesuffix("/2025-1")]
    for search in (
        here.consumer.get_catalogs_by_dct_type_with_bpnl,
        here.consumer.get_catalogs_by_dct_type_with_bpnl_parallel,
    ):
        found = search(here.nodes.provider.bpn, roots, kind)
        same(datasets(found[roots[0]]), [asset])
        assert "502" in found[roots[1]]["error"]


@case("catalog: one dataset by its id; none is 404 of the provider (502)")
def _(here: Scene) -> None:
    def ask(asset: str) -> CatalogDatasetRequestModel:
        return CatalogDatasetRequestModel(
            oid=asset,
            counter_party_address=here.nodes.provider.dsp,
            counter_party_id=here.nodes.provider.did,
            protocol=PROTOCOL,
            context={"@vocab": EDC},
        )

    asset = here.offer("one")
    same(here.consumer.catalogs.get_by_dataset(ask(asset)).json()["@id"], asset)
    same(here.consumer.catalogs.get_by_dataset(ask("urn:none")).status_code, 502)


@case("catalog: nothing found is an empty catalog, and assets_exists says so")
def _(here: Scene) -> None:
    asset, who = here.offer("there"), here.partner()
    same(datasets(here.consumer.get_catalog_by_asset_id(**who, asset_id="urn:none")), [])
    same(datasets(here.consumer.get_catalog_by_dct_type(**who, dct_type="urn:none")), [])
    same(here.consumer.assets_exists(**who, filter_expression=here.by_id("urn:none")), expected=False)
    same(here.consumer.assets_exists(**who, filter_expression=here.by_id(asset)), expected=True)


@case("catalog: what a partner may not see is not in it")
def _(here: Scene) -> None:
    asset = here.offer("secret")
    stranger = service(here.nodes.mortal).consumer
    same(datasets(stranger.get_catalog_by_asset_id(**here.partner(), asset_id=asset)), [])


@case("catalog refused: provider away, another's DID, not a DSP address (502)")
def _(here: Scene) -> None:
    for did, address in (
        (here.nodes.provider.did, dead_address()),
        (here.nodes.mortal.did, here.nodes.provider.dsp),
        (here.nodes.provider.did, here.nodes.provider.management),
    ):
        with raises(ConnectionError, "not possible to get the catalog", "502"):
            here.consumer.get_catalog(counter_party_id=did, counter_party_address=address)
    with raises(ConnectionError, "Failed to get catalog"):
        here.consumer.assets_exists(here.nodes.provider.did, dead_address(), here.by_id("urn:none"))


@case("discovery: address, DID and protocol of a partner number")
def _(here: Scene) -> None:
    provider = here.nodes.provider
    found = here.consumer.get_discovery_info(bpnl=provider.bpn, counter_party_address=provider.root)
    same(found, (provider.dsp, provider.did, PROTOCOL))
    asked = CatalogModel(counter_party_id=provider.did, counter_party_address=provider.root, context={"@vocab": EDC})
    versions = controller(here.nodes.consumer, "PROTOCOL_VERSION").get_discover(asked).json()
    assert "2025-1" in str(versions), versions


@case("discovery refused: unknown partner number (400), nobody at the address (502)")
def _(here: Scene) -> None:
    with raises(ConnectionError, "400"):
        here.consumer.get_discovery_info("BPNL000000000000", here.nodes.provider.root)
    with raises(ConnectionError, "502"):
        here.consumer.get_discovery_info(here.nodes.provider.bpn, dead_address().removesuffix("/2025-1"))


@case("equipment: health, liveness, readiness, startup; the data plane")
def _(here: Scene) -> None:
    watching = controller(here.nodes.consumer, "APPLICATION_OBSERVABILITY")
    for probe in (watching.get_health, watching.get_liveness, watching.get_readiness, watching.get_startup):
        same(probe().json()["isSystemHealthy"], expected=True)
    (plane,) = controller(here.nodes.consumer, "DATAPLANE_SELECTOR").get_all_v3().json()
    same((plane["state"], "HttpData-PULL" in plane["allowedTransferTypes"]), ("AVAILABLE", True))


@case("wrong API key: every call is refused (401)")
def _(here: Scene) -> None:
    asset = here.offer("locked")
    wrong = service(here.nodes.consumer, key="wrong")
    with raises(ConnectionError, "401"):
        wrong.consumer.get_catalog(**here.partner())
    with raises(ConnectionError, "401"):
        wrong.consumer.get_discovery_info(here.nodes.provider.bpn, here.nodes.provider.root)
    with raises(ConnectionError, "401"):
        here.obtain(asset, wrong.consumer)
    with raises(ValueError, "401"):
        wrong.provider.create_asset(asset_id="urn:none", base_url=here.backend.url)
    with raises(ValueError, "401"):
        wrong.provider.create_policy(policy_id="urn:none")
    same(wrong.consumer.edrs.get_all().status_code, 401)
