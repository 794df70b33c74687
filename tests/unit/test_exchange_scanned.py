"""The passport is that of the battery which was scanned, or the check says why not."""

import pytest

from connector.demo_data import passports
from connector.exchange.scanned import check_scanned
from connector.passport.names import Names
from connector.twins.shell import AssetLink

PASSPORT = passports()[0]
IDENT = PASSPORT["metadata"]["passportIdentifier"]
PART, SERIAL = AssetLink("manufacturerPartId", "HV-E78-811-A"), AssetLink("partInstanceId", "HVE78-2026-0000417")
GLOBAL = AssetLink("globalAssetId", IDENT)
FOREIGN = AssetLink("globalAssetId", "urn:uuid:of-the-asset")
OTHER_PART, OTHER_SERIAL = AssetLink("manufacturerPartId", "HV-1"), AssetLink("partInstanceId", "4711")
TWIN = (AssetLink("manufacturerId", "BPNL000HELVION01"), PART, SERIAL)


@pytest.mark.parametrize(
    ("code", "twin", "said"),
    [
        ((PART, SERIAL), (), "the passport names partInstanceId HVE78-2026-0000417, as the code does"),
        ((SERIAL,), (), "as the code does"),
        ((GLOBAL,), (), f"names globalAssetId {IDENT}, as the code does"),
        ((SERIAL,), (OTHER_SERIAL,), "as the code does"),
        ((FOREIGN,), TWIN, "by the word of the registry: the passport names partInstanceId"),
        ((AssetLink("van", "7"),), TWIN, "by the word of the registry"),
        ((PART,), TWIN, "by the word of the registry"),
    ],
)
def test_what_both_name_is_the_battery(code: tuple[AssetLink, ...], twin: tuple[AssetLink, ...], said: str) -> None:
    found = check_scanned(code, twin, PASSPORT, passport=True)
    assert found.ok, found
    assert said in found.detail


@pytest.mark.parametrize(
    ("code", "twin", "said"),
    [
        ((PART, OTHER_SERIAL), TWIN, "the code says partInstanceId 4711; the passport says HVE78-2026-0000417"),
        ((OTHER_PART, SERIAL), TWIN, "the code says manufacturerPartId HV-1; the passport says HV-E78-811-A"),
        ((OTHER_SERIAL, GLOBAL), TWIN, "the code says partInstanceId 4711"),
        ((FOREIGN,), (OTHER_SERIAL,), "the registry says of what was scanned partInstanceId 4711"),
        ((FOREIGN,), (OTHER_PART, SERIAL), "the registry says of what was scanned manufacturerPartId HV-1"),
        ((FOREIGN,), (PART,), "neither code nor twin names"),
        ((FOREIGN,), (), "neither code nor twin names"),
    ],
)
def test_what_names_another_battery_or_none_is_refused(
    code: tuple[AssetLink, ...], twin: tuple[AssetLink, ...], said: str
) -> None:
    found = check_scanned(code, twin, PASSPORT, passport=True)
    assert not found.ok
    assert said in found.detail


@pytest.mark.parametrize(
    "payload", [None, [], "x", {}, {"identification": [1]}, {"metadata": {"passportIdentifier": 1}}]
)
def test_a_passport_that_names_no_battery_is_refused_and_other_aspects_are_not_compared(payload: object) -> None:
    refused = check_scanned((SERIAL,), TWIN, payload, passport=True)
    assert (refused.ok, "the passport does not say it" in refused.detail) == (False, True)
    other = check_scanned((SERIAL,), TWIN, payload, passport=False)
    assert (other.ok, other.detail.startswith("not compared")) == (True, True)


def test_an_aspect_that_names_another_battery_is_refused_whatever_it_is_called() -> None:
    assert not check_scanned((OTHER_SERIAL,), TWIN, PASSPORT, passport=False).ok


def test_names_are_read_in_both_layouts_and_the_code_stands_in_for_a_serial_number() -> None:
    assert Names.of(PASSPORT) == Names(IDENT, PART.value, SERIAL.value)
    about = PASSPORT["identification"]["identification"]
    flat = {"metadata": {"passportIdentifier": "7d0f3a52-6a0e-4c5b-9f58-2b6f1c1f7a01"}, "identification": about}
    assert Names.of(flat) == Names(IDENT, PART.value, SERIAL.value)
    assert Names.of({"identification": {"idDmc": "DMC1", "identification": {"serial": []}}}).serial == "DMC1"
