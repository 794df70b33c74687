"""Status lists of both kinds: bits in, bits out, and nothing that a stranger can make of them."""

import base64
import gzip
from typing import Any

import pytest

from connector.identity.status_list import (
    MIN_BITS,
    StatusEntry,
    StatusList,
    list_subject,
    list_type,
    pack,
    parse_status,
    unpack,
    with_bit,
)
from connector.protocol.errors import Invalid, PeerError

URL = "https://authority.example/status/1"
KINDS = ["StatusList2021Entry", "BitstringStatusListEntry"]


def entry(kind: str = KINDS[0], index: int = 7, purpose: str = "revocation") -> StatusEntry:
    return StatusEntry(kind, purpose, index, URL)


def subject(kind: str = KINDS[0], *revoked: int, **options: Any) -> dict[str, Any]:
    bits = bytes(MIN_BITS // 8)
    for index in revoked:
        bits = with_bit(bits, index, value=True)
    return list_subject(kind, url=URL, purpose="revocation", bits=bits, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bit_says_who_is_revoked(kind: str) -> None:
    found = StatusList.parse(subject(kind, 0, 7, 8, MIN_BITS - 1))
    assert [i for i in range(20) if found.is_set(entry(kind, i))] == [0, 7, 8]
    assert found.is_set(entry(kind, MIN_BITS - 1))


def test_the_first_bit_is_the_left_most() -> None:
    assert with_bit(bytes(2), 0, value=True) == b"\x80\x00"
    assert with_bit(b"\x80\x01", 15, value=False) == b"\x80\x00"


@pytest.mark.parametrize("index", [-1, 16])
def test_a_bit_that_is_not_there_cannot_be_set(index: int) -> None:
    with pytest.raises(Invalid):
        with_bit(bytes(2), index, value=True)


def test_each_kind_writes_in_its_way() -> None:
    plain, multibase = subject(KINDS[0]), subject(KINDS[1], ttl=300_000)
    assert (plain["type"], plain["encodedList"][:3]) == ("StatusList2021", "H4s")
    assert (multibase["type"], multibase["encodedList"][:4], multibase["ttl"]) == (
        "BitstringStatusList",
        "uH4s",
        300_000,
    )
    assert [list_type(kind) for kind in KINDS] == ["StatusList2021Credential", "BitstringStatusListCredential"]
    assert StatusList.parse(multibase).ttl == 300_000


def test_every_way_of_writing_is_read() -> None:
    packed = gzip.compress(b"\x01\xff\xfe" * 50, mtime=0)
    for text in (
        base64.b64encode(packed).decode(),
        base64.urlsafe_b64encode(packed).decode(),
        "u" + base64.urlsafe_b64encode(packed).decode().rstrip("="),
    ):
        assert unpack(text) == b"\x01\xff\xfe" * 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "z6Mk",
        "????",
        "uAAAA",
        base64.b64encode(gzip.compress(bytes(100), mtime=0)[:-4]).decode(),
        base64.b64encode(gzip.compress(bytes(100), mtime=0) + b"more").decode(),
        pack(bytes(101), multibase=True),
    ],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        unpack(text, "/place", max_bytes=100)
    assert (caught.value.status, caught.value.pointer) == (400, "/place")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"type": "RevocationList2020"}, "/credentialSubject/type"),
        ({"type": None}, "/credentialSubject/type"),
        ({"encodedList": None}, "/credentialSubject/encodedList"),
        ({"ttl": "1"}, "/credentialSubject/ttl"),
        ({"ttl": -1}, "/credentialSubject/ttl"),
        ({"ttl": True}, "/credentialSubject/ttl"),
        ({"statusPurpose": [1]}, "/credentialSubject/statusPurpose/0"),
    ],
)
def test_a_bad_list_is_refused_with_its_place(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(PeerError) as caught:
        StatusList.parse(subject() | changes)
    assert (caught.value.status, caught.value.pointer) == (400, pointer)


@pytest.mark.parametrize(
    "asked",
    [
        entry("BitstringStatusListEntry"),
        entry(purpose="suspension"),
        entry(index=MIN_BITS),
    ],
)
def test_an_entry_of_another_list_is_refused(asked: StatusEntry) -> None:
    with pytest.raises(PeerError):
        StatusList.parse(subject()).is_set(asked)


def test_a_list_may_have_several_purposes() -> None:
    found = StatusList.parse(subject(KINDS[1], 7) | {"statusPurpose": ["revocation", "suspension"]})
    assert found.is_set(entry(KINDS[1], purpose="suspension"))


def test_an_entry_is_read_as_it_is_written() -> None:
    written = entry(index=4711).to_json()
    assert written["statusListIndex"] == "4711"
    assert written["id"] == f"{URL}#4711"
    assert parse_status(written, "/s") == parse_status(written | {"statusListIndex": 4711}, "/s") == entry(index=4711)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"type": "CredentialStatusList2017"}, "/s/type"),
        ({"statusSize": 2}, "/s/type"),
        ({"statusListIndex": "-1"}, "/s/statusListIndex"),
        ({"statusListIndex": "1e3"}, "/s/statusListIndex"),
        ({"statusListIndex": "\u0661"}, "/s/statusListIndex"),
        ({"statusListIndex": "1" * 11}, "/s/statusListIndex"),
        ({"statusListIndex": True}, "/s/statusListIndex"),
        ({"statusListIndex": None}, "/s/statusListIndex"),
        ({"statusPurpose": None}, "/s/statusPurpose"),
        ({"statusListCredential": None}, "/s/statusListCredential"),
    ],
)
def test_an_entry_that_cannot_be_looked_up_is_refused(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_status(entry().to_json() | changes, "/s")
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(("kind", "index"), [("Other", 0), (KINDS[0], -1)])
def test_an_entry_of_ours_is_one(kind: str, index: int) -> None:
    with pytest.raises(Invalid):
        entry(kind, index)
