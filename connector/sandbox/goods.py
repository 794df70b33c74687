"""What is exchanged in the story, and what a person wants to read of it.

The cell maker's passports and footprint are the example data; the cathode supplier's footprint is the same document
retold for what a cathode supplier makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, footprint, passports


@dataclass(frozen=True, slots=True)
class Good:
    """A payload to be published as an asset."""

    asset_id: str
    name: str
    semantic_id: str
    payload: Mapping[str, Any] = field(repr=False)

    @property
    def kind(self) -> str:
        """The aspect's name: BatteryPass, Pcf."""
        return self.semantic_id.rpartition("#")[2]


def cell_makers_goods() -> list[Good]:
    """Three battery passports and the footprint of a cell."""
    return [*(passport_good(p) for p in passports()), _footprint_good("footprint-cell-nmc811", footprint())]


def passport_good(passport: Mapping[str, Any]) -> Good:
    """A passport under the id that its battery carries."""
    identity = passport["identification"]
    name = identity["identification"]["type"]["nameAtManufacturer"]
    return Good(f"passport-{identity['idDmc']}", name, PASSPORT_SEMANTIC_ID, passport)


def cathode_suppliers_good() -> Good:
    """The footprint of a kilogram of cathode material."""
    document = footprint() | {
        "id": "b8e6a1f3-5c27-4d90-8f4e-26d0c9a71b35",
        "version": 1,
        "precedingPfIds": [],
        "comment": "Primary data of the calcination line",
        "companyName": "Norvik Cathode AS",
        "companyIds": ["urn:bpn:id:BPNL0000NORVIK01"],
        "productName": "Norvik C811 cathode active material, NMC811",
        "productDescription": "Lithium nickel manganese cobalt oxide, single crystal, per kilogram",
        "productIds": ["urn:norvik:part:NK-C811"],
    }
    document["pcf"] = document["pcf"] | {
        "declaredUnit": "kilogram",
        "productMassPerDeclaredUnit": 1.0,
        "geographyCountry": "NO",
        "geographyCountrySubdivision": "NO-42",
        "pcfExcludingBiogenic": 14.9,
        "pcfIncludingBiogenic": 14.9,
        "fossilGhgEmissions": 14.9,
        "primaryDataShare": 83.0,
    }
    return _footprint_good("footprint-cathode-nmc811", document)


def _footprint_good(asset_id: str, document: Mapping[str, Any]) -> Good:
    return Good(asset_id, document["productName"], FOOTPRINT_SEMANTIC_ID, document)


def excerpt(kind: str, payload: Mapping[str, Any]) -> dict[str, str]:
    """A few facts of a payload, for a person."""
    return _passport_excerpt(payload) if kind == "BatteryPass" else _footprint_excerpt(payload)


def _passport_excerpt(passport: Mapping[str, Any]) -> dict[str, str]:
    identity, rated = passport["identification"], passport["performance"]["rated"]
    active = passport["materials"]["active"]
    recycled = ", ".join(f"{name} {active[name]['recycled']:g} %" for name in ("nickel", "cobalt", "lithium"))
    total = next(s for s in passport["sustainability"]["carbonFootprint"] if s["lifecycle"] == "all stages")
    return {
        "battery": f"{identity['idDmc']}, {identity['category']}, {identity['chemistry']}",
        "made": f"{passport['operation']['manufacturer']['manufacturingDate']} by "
        f"{passport['operation']['manufacturer']['manufacturer']}",
        "rated": f"{rated['capacity']['value']:g} Ah, {rated['energy']['value']:g} kWh",
        "recycled": recycled,
        "footprint": f"{total['value']:g} {total['unit']}, class {total['performanceClass']}",
    }


def _footprint_excerpt(document: Mapping[str, Any]) -> dict[str, str]:
    pcf = document["pcf"]
    return {
        "product": document["productName"],
        "company": document["companyName"],
        "footprint": f"{pcf['pcfExcludingBiogenic']:g} kg CO2e per {pcf['declaredUnit']}",
        "primary data": f"{pcf['primaryDataShare']:g} %",
    }
