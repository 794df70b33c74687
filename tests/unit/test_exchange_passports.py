"""What a passport's battery is called, before anything is made of it."""

from typing import Any

import pytest

from connector.demo_data import passports
from connector.exchange.passports import Identity
from connector.protocol.errors import Invalid

UUID = "7d0f3a52-6a0e-4c5b-9f58-2b6f1c1f7a01"


def named(identifier: str) -> dict[str, Any]:
    doc: dict[str, Any] = passports()[0]
    doc["metadata"]["passportIdentifier"] = identifier
    return doc


@pytest.mark.parametrize("identifier", [UUID, f"urn:uuid:{UUID}"])
def test_the_identifier_becomes_a_urn(identifier: str) -> None:
    assert Identity.of(named(identifier)) == Identity(
        f"urn:uuid:{UUID}", "HVE78-2026-0000417", "HV-E78-811-A", "BPNL000HELVION01"
    )


@pytest.mark.parametrize(
    "identifier",
    [
        "urn:x:1;dspEndpoint=https://evil.example",
        "urn:x:1;id",
        "urn:x:a=b",
        "urn:x:1#2",
        "urn:x:1|interest",
        "urn:x:1 ",
        "urn:x:1\n",
    ],
)
def test_an_identifier_that_would_end_before_its_end_is_refused_with_the_place(identifier: str) -> None:
    with pytest.raises(Invalid, match="cannot be told") as refused:
        Identity.of(named(identifier))
    assert refused.value.pointer == "/metadata/passportIdentifier"
