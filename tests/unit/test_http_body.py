"""Bodies from strangers: capped, unpacked within the cap, parsed with a place for every fault."""

import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import TransferEncodingError
from aiohttp.test_utils import make_mocked_request

from connector.http.body import collect, parse_json, read_body
from connector.protocol.errors import PeerError

PACKED = gzip.compress(b"{}", mtime=0)


async def arrive(pieces: Iterable[bytes], encoding: str = "", max_bytes: int = 1000) -> bytes:
    loop = asyncio.get_running_loop()
    wire = BaseProtocol(loop)
    wire.connection_made(asyncio.Transport())
    stream = StreamReader(wire, limit=1 << 16, loop=loop)
    reading = asyncio.create_task(collect(stream, encoding, max_bytes))
    for piece in pieces:
        await asyncio.sleep(0)  # let the reader take the piece before
        stream.feed_data(piece)
    stream.feed_eof()
    return await reading


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
async def test_plain_body_up_to_the_cap(encoding: str) -> None:
    assert await arrive([b"a" * 500, b"b" * 500], encoding) == b"a" * 500 + b"b" * 500


async def test_plain_body_over_the_cap_is_refused() -> None:
    with pytest.raises(PeerError, match="larger than 1000 bytes") as refusal:
        await arrive([b"a" * 500, b"b" * 501])
    assert refusal.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
async def test_gzip_body_up_to_the_cap(encoding: str) -> None:
    packed = gzip.compress(b"a" * 1000)
    assert await arrive([packed[:7], packed[7:]], encoding) == b"a" * 1000


async def test_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(PeerError) as refusal:
        await arrive([bomb], "gzip", max_bytes=1 << 20)
    assert refusal.value.status == 413


async def test_endless_gzip_header_is_refused() -> None:
    head = b"\x1f\x8b\x08\x08" + bytes(6)  # a file name follows, and never ends
    with pytest.raises(PeerError) as refusal:
        await arrive([head, b"n" * 1000], "gzip")
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{}", "not valid gzip"),
        (PACKED[:-1], "cut off"),
        (PACKED * 2, "goes on after its end"),
        (PACKED[:-8] + bytes(8), "not valid gzip"),
        (zlib.compress(b"{}"), "not valid gzip"),
    ],
    ids=["plain", "cut", "two members", "wrong checksum", "zlib"],
)
async def test_broken_gzip_is_refused(body: bytes, fault: str) -> None:
    with pytest.raises(PeerError, match=fault) as refusal:
        await arrive([body], "gzip")
    assert refusal.value.status == 400


async def test_empty_body_may_claim_to_be_gzip() -> None:
    assert await arrive([], "gzip") == b""


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip"])
async def test_other_encodings_are_refused(encoding: str) -> None:
    with pytest.raises(PeerError, match="send gzip or none") as refusal:
        await arrive([b"{}"], encoding)
    assert refusal.value.status == 415


@pytest.mark.parametrize("fault", [TransferEncodingError("zz"), web.RequestPayloadError("zz")])
async def test_broken_transfer_encoding_is_the_peers_fault(fault: Exception) -> None:
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), limit=1 << 16, loop=loop)
    stream.set_exception(fault)
    with pytest.raises(PeerError, match="its own length or chunk sizes") as refusal:
        await read_body(make_mocked_request("POST", "/", payload=stream))
    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [b"", b"  \r\n", b"\xef\xbb\xbf", b"null"])
def test_no_document_is_none(body: bytes) -> None:
    assert parse_json(body) is None


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ('{"a":"ü"}'.encode(), "utf-8"),
        ('{"a":"ü"}'.encode(), "UTF8"),
        (b"\xef\xbb\xbf" + '{"a":"ü"}'.encode(), "utf-8"),
        ('{"a":"ü"}'.encode("utf-16"), "UTF-16"),
        ('{"a":"ü"}'.encode("latin-1"), "ISO-8859-1"),
    ],
)
def test_usual_charsets_are_understood(body: bytes, charset: str) -> None:
    assert parse_json(body, charset=charset) == {"a": "ü"}


@pytest.mark.parametrize("charset", ["punycode", "zlib", "unicode_escape", "no-such"])
def test_unusual_charset_is_refused(charset: str) -> None:
    with pytest.raises(PeerError) as refusal:
        parse_json(b"{}", charset=charset)
    assert refusal.value.status == 415


def test_malformed_json_names_line_and_column() -> None:
    with pytest.raises(PeerError, match="in line 2, column 7") as refusal:
        parse_json(b'{"a": 1,\n "b": }')
    assert refusal.value.status == 400


@pytest.mark.parametrize("body", [b"{'a': 1}", b"NaN", b"[1,]", b'{"a":1} {}', b'"\xff"', b'"\\ud800"', b'"\x00"'])
def test_what_is_nearly_json_is_refused(body: bytes) -> None:
    with pytest.raises(PeerError) as refusal:
        parse_json(body)
    assert refusal.value.status == 400


def test_bytes_outside_the_declared_charset_are_refused() -> None:
    with pytest.raises(PeerError, match="declared charset"):
        parse_json('"ü"'.encode(), charset="us-ascii")


def nested(levels: int, filler: bytes = b"") -> bytes:
    return b'{"a":[' * (levels // 2) + filler + b"]}" * (levels // 2)


def test_depth_up_to_the_limit() -> None:
    assert parse_json(nested(64)) is not None
    with pytest.raises(PeerError, match="deeper than 64 levels"):
        parse_json(nested(66))


@pytest.mark.parametrize("levels", [2_000, 1_000_000])
def test_depth_that_would_exhaust_a_stack(levels: int) -> None:
    with pytest.raises(PeerError) as refusal:
        parse_json(nested(levels))
    assert refusal.value.status == 400


def test_wide_documents_are_not_deep() -> None:
    assert parse_json(b"[" + b",".join([b'{"a":[{}]}'] * 10_000) + b"]") is not None


def test_brackets_in_strings_do_not_count() -> None:
    text = b'["' + b"[" * 500 + rb"\\\"" + b"{" * 500 + b'", "' + b"]" * 100 + b'"]'
    assert parse_json(text) is not None
