"""What a stranger may and may not make this node connect to (architecture: security invariants)."""

import socket
from ipaddress import ip_address

import pytest

from connector.http.guard import MAX_URL, AddressPolicy, Reach, reach
from connector.protocol.errors import PeerError

STRICT = AddressPolicy()
OPEN = AddressPolicy(allow_loopback=True, allow_private=True, allow_http=True)

NEVER = [
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://0.0.0.0/",
    "https://[::]/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://[2001:db8::1]/",
    "https://[2002:7f00:1::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://127.1/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.0x1/",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://peer.example.0x/",
    "https://127.0.0.%31/",
    "https://①②⑦.⓪.⓪.①/",
    "https://user@peer.example/",
    "https://user:secret@peer.example/",
    "https://:secret@peer.example/",
    "https://peer.example/#here",
    "https://peer.example/#",
    "https:///path",
    "https:path",
    "https://",
    "https://:443/",
    "https://peer.example:0/",
    "https://peer.example:70000/",
    "https://peer.example:port/",
    "https://[::1",
    "https://peer..example/",
    "https://-peer.example/",
    "https://peer example/",
    "https://peer.exa\nmple/",
    "https://peer.example\\@evil.example/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 130 + "example/",
    "https://peer.example/" + "a" * MAX_URL,
    "ftp://peer.example/",
    "file:///etc/passwd",
    "gopher://peer.example/",
    "//peer.example/",
    "peer.example",
    "",
]


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("policy", [STRICT, OPEN], ids=["strict", "open"])
def test_url_is_refused_under_every_policy(policy: AddressPolicy, url: str) -> None:
    with pytest.raises(PeerError) as refusal:
        policy.check_url(url, "/callbackAddress")
    assert refusal.value.status == 400
    assert refusal.value.pointer == "/callbackAddress"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8080/",
        "https://127.255.255.254/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[0:0:0:0:0:ffff:7f00:1]/",
        "https://localhost/",
        "https://LOCALHOST:8080/",
        "https://localhost./",
        "https://node.localhost/",
    ],
)
def test_loopback_needs_permission_whatever_its_spelling(url: str) -> None:
    with pytest.raises(PeerError, match="loopback"):
        AddressPolicy(allow_private=True, allow_http=True).check_url(url)
    AddressPolicy(allow_loopback=True).check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://172.31.255.255/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://[fc00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
    ],
)
def test_private_address_needs_permission(url: str) -> None:
    with pytest.raises(PeerError, match="private"):
        AddressPolicy(allow_loopback=True, allow_http=True).check_url(url)
    AddressPolicy(allow_private=True).check_url(url)


def test_plain_http_needs_permission() -> None:
    with pytest.raises(PeerError, match="use https"):
        AddressPolicy(allow_loopback=True, allow_private=True).check_url("http://peer.example/")
    assert AddressPolicy(allow_http=True).check_url("http://peer.example/").port == 80


@pytest.mark.parametrize(
    "url",
    [
        "https://peer.example",
        "https://PEER.example:8443/api/v1/dsp?x=1",
        "https://peer.example./",
        "https://xn--bcher-kva.example/",
        "https://edc_1.peer.example/",
        "https://8.8.8.8/",
        "https://172.32.0.1/",
        "https://[2606:4700::1111]/",
        "https://1.peer.example/",
        "https://0xpeer/",
        "https://peer.example/a@b",
    ],
)
def test_public_https_address_is_accepted(url: str) -> None:
    parsed = STRICT.check_url(url)
    assert parsed.scheme == "https"
    assert parsed.host


def test_refusal_names_the_place_but_not_the_secret() -> None:
    with pytest.raises(PeerError) as refusal:
        STRICT.check_url("https://user:hunter2@peer.example/", "/callbackAddress")
    assert "hunter2" not in str(refusal.value)
    assert "/callbackAddress" in str(refusal.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.1.1.1", Reach.PUBLIC),
        ("::1", Reach.LOOPBACK),
        ("fd12::1", Reach.PRIVATE),
        ("2001::1", Reach.SPECIAL),
        ("64:ff9b::8.8.8.8", Reach.PUBLIC),
        ("64:ff9b:1::8.8.8.8", Reach.SPECIAL),
        ("4000::1", Reach.SPECIAL),
    ],
)
def test_reach_of_an_address(address: str, expected: Reach) -> None:
    assert reach(ip_address(address)) is expected


@pytest.mark.parametrize(
    ("family", "target"),
    [
        (socket.AF_INET, ("127.0.0.1", 80)),
        (socket.AF_INET, ("10.1.2.3", 80)),
        (socket.AF_INET, ("169.254.169.254", 80)),
        (socket.AF_INET6, ("::1", 80, 0, 0)),
        (socket.AF_INET6, ("::ffff:127.0.0.1", 80, 0, 0)),
        (socket.AF_INET6, ("fe80::1%1", 80, 0, 1)),
    ],
)
def test_no_socket_is_opened_for_a_refused_address(family: int, target: tuple[object, ...]) -> None:
    with pytest.raises(PermissionError, match="refused here"):
        STRICT.open_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", target))


def test_socket_is_opened_for_an_allowed_address() -> None:
    with STRICT.open_socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))) as made:
        assert made.family == socket.AF_INET
