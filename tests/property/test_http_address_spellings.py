"""No spelling of an address that is not public passes the guard."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.http.guard import AddressPolicy, Reach, reach
from connector.protocol.errors import PeerError

INSIDE = [
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"),
    *("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"),
]


@st.composite
def inner_addresses(draw: st.DrawFn) -> IPv4Address:
    net = IPv4Network(draw(st.sampled_from(INSIDE)))
    return net[draw(st.integers(0, net.num_addresses - 1))]


def spellings(address: IPv4Address) -> list[str]:
    number = int(address)
    a, b, c, d = address.packed
    mapped = IPv6Address(0xFFFF_0000_0000 | number)
    return [
        str(address),
        f"{address}.",
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{c << 8 | d}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"[{mapped}]",
        f"[{mapped.exploded}]",
        f"[::ffff:{address}]",
        f"[64:ff9b::{address}]",
        f"[::{address}]",
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1]",
    ]


@given(inner_addresses())
def test_no_spelling_of_an_inner_address_passes(address: IPv4Address) -> None:
    for host in spellings(address):
        with pytest.raises(PeerError):
            AddressPolicy().check_url(f"https://{host}/")


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_what_passes_is_global_in_the_standard_library_too(address: IPv4Address) -> None:
    if reach(address) is Reach.PUBLIC:
        assert address.is_global
        assert not address.is_multicast


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_public_ipv6_address_is_local_to_the_standard_library(address: IPv6Address) -> None:
    if reach(address) is Reach.PUBLIC:
        assert not address.is_private
        assert not address.is_multicast
