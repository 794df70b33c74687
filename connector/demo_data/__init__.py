"""Example payloads for the demo, the documentation and the tests: invented makers, plausible numbers.

Three battery passports of the aspect BatteryPass 6.1.0 (a car battery of NMC811, a pedelec battery of NMC811, a car
battery of LFP), one product carbon footprint of the aspect Pcf 7.0.0 (a cell of the first maker), and one passport
that somebody spoilt on the way. Companies, addresses and numbers are fictitious; `.example` hosts resolve nowhere.
"""

import json
from importlib.resources import files
from typing import Any, Final

PASSPORT_SEMANTIC_ID: Final = "urn:samm:io.catenax.battery.battery_pass:6.1.0#BatteryPass"
FOOTPRINT_SEMANTIC_ID: Final = "urn:samm:io.catenax.pcf:7.0.0#Pcf"

_PASSPORTS: Final = ("passport-ev-nmc811.json", "passport-lmt-nmc811.json", "passport-ev-lfp.json")


def passports() -> list[dict[str, Any]]:
    """Return the three battery passports, new objects each time: EV NMC811, LMT NMC811, EV LFP."""
    return [_read(name) for name in _PASSPORTS]


def footprint() -> dict[str, Any]:
    """Return the product carbon footprint of a battery cell, a new object each time."""
    return _read("pcf-cell-nmc811.json")


def tampered() -> tuple[dict[str, Any], str]:
    """Return the first passport with its carbon footprint spoilt, and the JSON pointer a check has to name.

    The number has become a text, as a careless spreadsheet export does it: the signature no longer covers the value,
    and the value no longer fits the aspect model.
    """
    passport = passports()[0]
    stage = passport["sustainability"]["carbonFootprint"][0]
    stage["value"] = f"{stage['value']} {stage['unit']}"
    return passport, "/sustainability/carbonFootprint/0/value"


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files(__name__).joinpath(name).read_bytes())
    return document
