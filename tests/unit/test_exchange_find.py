"""Codes, and where a token may go."""

import pytest

from connector.exchange.code import Code
from connector.exchange.find import below
from connector.protocol.errors import Invalid, Unreachable
from connector.twins.shell import AssetLink

PART, SERIAL = AssetLink("manufacturerPartId", "HV-1"), AssetLink("partInstanceId", "4711")


@pytest.mark.parametrize(
    ("text", "links", "provider", "page"),
    [
        ("CX:HV-1:4711", (PART, SERIAL), None, None),
        (" CX:HV-1:4711\n", (PART, SERIAL), None, None),
        ("CX:HV-1:47:11", (PART, AssetLink("partInstanceId", "47:11")), None, None),
        ("4711", (SERIAL,), None, None),
        ("urn:uuid:1", (AssetLink("globalAssetId", "urn:uuid:1"),), None, None),
        ("did:web:maker.example#4711", (SERIAL,), "did:web:maker.example", None),
        ("https://maker.example/p/1", (), None, "https://maker.example/p/1"),
    ],
)
def test_a_code_says_what_it_is_known_by(
    text: str, links: tuple[AssetLink, ...], provider: str | None, page: str | None
) -> None:
    assert Code.read(text) == Code(links, provider, page)


def test_the_provider_that_is_named_beside_a_code_counts() -> None:
    assert Code.read("did:web:maker.example#4711", "did:web:other.example").provider == "did:web:other.example"
    assert Code.read("4711", "BPNL00000000MAKE").provider == "BPNL00000000MAKE"
    with pytest.raises(Invalid, match="leave the provider out"):
        Code.read("https://maker.example/p/1", "did:web:other.example")


@pytest.mark.parametrize(
    "text", ["", "  ", "CX:", "CX:a", "CX:a:", "CX::b", "did:web:a", "did:web:a#", "a\x00b", "x" * 3000]
)
def test_a_code_that_names_no_battery_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Code.read(text)


@pytest.mark.parametrize(
    ("endpoint", "href", "path"),
    [
        ("https://maker.example/public", "https://maker.example/public/submodel/$value", "/submodel/$value"),
        ("https://maker.example/public/", "https://maker.example/public/x", "/x"),
        ("https://maker.example/public", "https://maker.example/public", ""),
    ],
)
def test_what_stands_behind_the_endpoint_is_asked_for(endpoint: str, href: str, path: str) -> None:
    assert below(endpoint, href) == path


@pytest.mark.parametrize(
    "href",
    [
        "https://evil.example/public/submodel",
        "https://maker.example/other",
        "https://maker.example/publicity",
        "https://maker.example@evil.example/public",
        "http://maker.example/public/submodel",
        "https://maker.example/public/../../admin",
        "https://maker.example/public/%2e%2e/admin",
    ],
)
def test_a_token_goes_to_no_other_place_than_its_endpoint(href: str) -> None:
    with pytest.raises(Unreachable, match="the token is for"):
        below("https://maker.example/public", href)
