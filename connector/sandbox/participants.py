"""Who takes part: the fictitious companies of the sandbox, and how to reach a node from outside.

The cell maker is the maker of the example passports (`connector.demo_data`); its partners are as fictitious as itself.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from connector.protocol.errors import Invalid
from connector.settings import secret


@dataclass(frozen=True, slots=True)
class Company:
    """`name` is short and names folders and options, `title` is for people."""

    name: str
    title: str
    bpn: str


OEM: Final = Company("oem", "Aurelis Motors (OEM)", "BPNL000AURELIS01")
CELL_MAKER: Final = Company("cell-maker", "Helvion Zellwerke (cell maker)", "BPNL000HELVION01")
CATHODE_SUPPLIER: Final = Company("cathode-supplier", "Norvik Cathode (cathode supplier)", "BPNL0000NORVIK01")
SECOND_OEM: Final = Company("oem-2", "Borealis Motors (second OEM)", "BPNL00BOREALIS01")
RECYCLER: Final = Company("recycler", "Velmora Recycling (recycler)", "BPNL000VELMORA01")
SURVEILLANCE: Final = Company("market-surveillance", "Market Surveillance (authority)", "BPNL00SURVEIL001")
COMPANIES: Final = (OEM, CELL_MAKER, CATHODE_SUPPLIER, SECOND_OEM, RECYCLER, SURVEILLANCE)


def companies(count: int) -> tuple[Company, ...]:
    """The first `count` companies; those after the named ones are node-7, node-8, ..."""
    more = (Company(f"node-{n}", f"Node {n}", f"BPNLNODE{n:08d}") for n in range(len(COMPANIES) + 1, count + 1))
    return (*COMPANIES[:count], *more)


@dataclass(frozen=True, slots=True)
class Participant:
    """A node as its operator and its partners reach it. `dsp` is the address with the version's path."""

    name: str
    title: str
    did: str
    bpn: str
    dsp: str
    management: str
    api_key: str = field(repr=False)

    def __post_init__(self) -> None:
        for member in ("name", "did", "bpn", "dsp", "management", "api_key"):
            if not getattr(self, member):
                raise Invalid(f"{member} is missing for the node {self.name or self.did}", f"/{member}")


def read_participants(file: Path, environment: Mapping[str, str]) -> dict[str, Participant]:
    """Read nodes that are running already, by name.

    One TOML table each: [[nodes]] with name, did, bpn, dsp, management, key (env:NAME or file:PATH) and perhaps title.
    Raise Invalid naming what is wrong.
    """
    try:
        rows = tomllib.loads(file.read_text(encoding="utf-8")).get("nodes")
    except OSError as error:
        raise Invalid(f"cannot read {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not TOML: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Invalid(f"{file} has no [[nodes]] tables", "/nodes")
    found = [_participant(row, f"/nodes/{i}", environment) for i, row in enumerate(rows)]
    return {participant.name: participant for participant in found}


def _participant(row: Mapping[str, Any], at: str, environment: Mapping[str, str]) -> Participant:
    text = {name: value for name, value in row.items() if isinstance(value, str)}
    try:
        return Participant(
            name=text.get("name", ""),
            title=text.get("title") or text.get("name", ""),
            did=text.get("did", ""),
            bpn=text.get("bpn", ""),
            dsp=text.get("dsp", "").rstrip("/"),
            management=text.get("management", "").rstrip("/"),
            api_key=secret(text.get("key"), environment, "/key"),
        )
    except Invalid as error:
        raise Invalid(error.reason, at + error.pointer) from error
