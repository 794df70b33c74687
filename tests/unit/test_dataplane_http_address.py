"""The HttpData address: what an operator can say, and what is refused with its place."""

import pytest
from multidict import CIMultiDict

from connector.dataplane.headers import to_backend, to_consumer
from connector.dataplane.http_address import HttpAddress, checked_path
from connector.dataplane.source import Ask
from connector.protocol.errors import Invalid, PeerError

EDC = "https://w3id.org/edc/v0.0.1/ns/"


def test_keys_are_read_short_and_under_edcs_namespace() -> None:
    address = HttpAddress.parse({f"{EDC}baseUrl": "https://b.example/x/", "edc:proxyPath": "TRUE", "header:X-A": "1"})
    assert (address.base, address.proxy_path, address.proxy_body) == ("https://b.example/x", True, False)
    assert address.headers == (("X-A", "1"),)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"baseUrl": ""}, "/dataAddress/baseUrl"),
        ({"baseUrl": "ftp://b.example"}, "/dataAddress/baseUrl"),
        ({"baseUrl": "http://user:hunter2@b.example"}, "/dataAddress/baseUrl"),
        ({"baseUrl": "http://169.254.169.254/latest"}, "/dataAddress/baseUrl"),
        ({"baseUrl": "http://b.example/#x"}, "/dataAddress/baseUrl"),
        ({"method": "CONNECT"}, "/dataAddress/method"),
        ({"proxyPath": "yes"}, "/dataAddress/proxyPath"),
        ({"path": "a b"}, "/dataAddress/path"),
        ({"queryParams": "a#b"}, "/dataAddress/queryParams"),
        ({"header:Edc-Bpn": "x"}, "/dataAddress/header:Edc-Bpn"),
        ({"header:Transfer-Encoding": "chunked"}, "/dataAddress/header:Transfer-Encoding"),
        ({"header:X A": "x"}, "/dataAddress/header:X A"),
        ({"header:X": "a\r\nb"}, "/dataAddress/header:X"),
        ({"authCode": "x"}, "/dataAddress/authKey"),
        ({"secretName": "x"}, "/dataAddress/authKey"),
        ({"authKey": "X-Key"}, "/dataAddress/authKey"),
        ({"authKey": "X Key", "authCode": "x"}, "/dataAddress/authKey"),
        ({"oauth2:tokenUrl": "https://a.example"}, "/dataAddress/oauth2:clientId"),
        (
            {"oauth2:tokenUrl": "nowhere", "oauth2:clientId": "a", "oauth2:clientSecretKey": "b"},
            "/dataAddress/oauth2:tokenUrl",
        ),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_its_place(changes: dict[str, str], pointer: str) -> None:
    with pytest.raises(Invalid) as refusal:
        HttpAddress.parse({"baseUrl": "https://b.example", **changes})
    assert refusal.value.pointer == pointer
    assert "hunter2" not in refusal.value.reason


def test_an_address_names_its_secrets_and_shows_none() -> None:
    oauth2 = {"oauth2:tokenUrl": "https://a.example", "oauth2:clientId": "c", "oauth2:clientSecretKey": "k"}
    address = HttpAddress.parse({"baseUrl": "https://b.example", "authKey": "X", "secretName": "s", **oauth2})
    assert address.secret_names() == ("s", "k")
    inline = {"authKey": "X", "authCode": "hidden", "secretName": "unused", "header:Y": "hidden"}
    address = HttpAddress.parse({"baseUrl": "https://b.example", **inline})
    assert address.secret_names() == ()
    assert "hidden" not in repr(address)


@pytest.mark.parametrize(
    "path", ["", "/", "/a/b.json", "/a..b", "/...", "/%C3%A9", "/a%2Fb", "/urn%3Auuid%3A1", "/;v=1"]
)
def test_an_honest_path_passes_as_it_is(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize("path", ["a", "/a b", "/\u00e9", "/a#b", "/%25252525252e", "/%0a", "/..", "/x/..", "/.;a/x"])
def test_a_doubtful_path_is_refused(path: str) -> None:
    with pytest.raises(PeerError) as refusal:
        checked_path(path)
    assert refusal.value.status == 400


def test_a_query_that_is_no_query_is_refused() -> None:
    address = HttpAddress.parse({"baseUrl": "https://b.example", "proxyQueryParams": "true"})
    with pytest.raises(PeerError):
        address.target(Ask(query="a=\u00e9"))


def test_fields_for_one_hop_stay_on_their_hop() -> None:
    hop = {
        "Connection": "close, X-One",
        "X-One": "1",
        "Keep-Alive": "1",
        "TE": "trailers",
        "Upgrade": "h2c",
        "Trailer": "x",
    }
    kept = {"Accept": "a/b", "Range": "bytes=0-1"}
    assert dict(to_backend(CIMultiDict({**hop, **kept}), {}, body=True)) == kept
    answer = CIMultiDict([*hop.items(), ("Vary", "a"), ("Vary", "b"), ("Set-Cookie", "c")])
    assert list(to_consumer(answer).items()) == [("Vary", "a"), ("Vary", "b")]


def test_what_describes_a_body_stays_with_the_body() -> None:
    fields = CIMultiDict({"Content-Length": "3", "Content-Type": "a/b", "Content-Encoding": "gzip"})
    assert dict(to_backend(fields, {}, body=True)) == dict(fields)
    assert dict(to_backend(fields, {"Content-Type": "ours"}, body=False)) == {"Content-Type": "ours"}


def test_a_name_without_letters_or_of_great_length_does_not_pass() -> None:
    assert not to_backend(CIMultiDict({"_-_": "x", "X" * 300: "x"}), {}, body=True)
