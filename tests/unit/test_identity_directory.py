import pytest

from connector.identity.directory import Directory
from connector.protocol.errors import Invalid

BPN = "BPNL00000000CONS"
DID = "did:web:consumer.example"


def test_both_directions_are_known() -> None:
    directory = Directory({BPN: DID})
    assert directory.bpn_of(DID) == BPN
    assert directory.did_of(BPN) == DID


def test_who_is_not_listed_is_not_known() -> None:
    directory = Directory({})
    assert directory.bpn_of(DID) is None
    assert directory.did_of(BPN) is None


@pytest.mark.parametrize("prefix", ["BPNL", "BPNS", "BPNA"])
def test_legal_entities_sites_and_addresses_have_bpns(prefix: str) -> None:
    assert Directory({f"{prefix}0123456789AZ": DID}).bpn_of(DID) == f"{prefix}0123456789AZ"


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        ({"": DID}, "/"),
        ({"BPNX00000000CONS": DID}, "/BPNX00000000CONS"),
        ({"BPNL00000000CON": DID}, "/BPNL00000000CON"),
        ({"BPNL00000000CONSX": DID}, "/BPNL00000000CONSX"),
        ({"bpnl00000000cons": DID}, "/bpnl00000000cons"),
        ({"BPNL00000000CONS\n": DID}, "/BPNL00000000CONS\n"),
        ({"a/b~c": DID}, "/a~1b~0c"),
        ({BPN: " "}, f"/{BPN}"),
        ({BPN: DID, "BPNL00000000PROV": DID}, "/BPNL00000000PROV"),
    ],
)
def test_a_bad_entry_is_refused_with_its_place(entries: dict[str, str], place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        Directory(entries)
    assert refusal.value.pointer == place
