"""Left operands of EDC's criteria, in the spellings that clients send."""

import pytest

from connector.protocol.errors import Invalid
from connector.protocol.vocabulary import EDC
from connector.semantics.operands import operand_path

DCT_TYPE = "http://purl.org/dc/terms/type"
VERSION = "https://w3id.org/catenax/ontology/common#version"


@pytest.mark.parametrize(
    ("left", "path"),
    [
        ("id", (f"{EDC}id",)),
        ("edc:id", (f"{EDC}id",)),
        (f"{EDC}id", (f"{EDC}id",)),
        (f"'{EDC}id'", (f"{EDC}id",)),
        ("asset:prop:id", (f"{EDC}id",)),
        ("asset:prop:type", ("asset:prop:type",)),
        (f"'{DCT_TYPE}'.'@id'", (DCT_TYPE, "@id")),
        (f"'{DCT_TYPE}'.@id", (DCT_TYPE, "@id")),
        (DCT_TYPE, (DCT_TYPE,)),
        ("dct:type", (DCT_TYPE,)),
        ("cx-common:version", (VERSION,)),
        (VERSION, (VERSION,)),
        (f"privateProperties.'{VERSION}'", (f"{EDC}privateProperties", VERSION)),
        (f"privateProperties.{VERSION}", (f"{EDC}privateProperties", VERSION)),
        ("contractAgreement.assetId", (f"{EDC}contractAgreement", f"{EDC}assetId")),
        ("state", (f"{EDC}state",)),
        (" state ", (f"{EDC}state",)),
        ("urn:samm:io.catenax.battery:6.0.0#BatteryPass", ("urn:samm:io.catenax.battery:6.0.0#BatteryPass",)),
    ],
)
def test_an_operand_names_a_path_of_expanded_keys(left: str, path: tuple[str, ...]) -> None:
    assert operand_path(left) == path


@pytest.mark.parametrize("left", ["", " ", "a..b", ".a", "a.", "''", "'a", "'a'b", "'a'."])
def test_a_broken_operand_is_refused(left: str) -> None:
    with pytest.raises(Invalid) as caught:
        operand_path(left)
    assert caught.value.pointer == "/operandLeft"
    assert caught.value.value == left
