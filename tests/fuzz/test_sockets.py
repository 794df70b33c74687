"""Listeners against what is hardly HTTP: every connection is answered or closed soon, and nobody else notices."""

import asyncio
import json
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.fuzz.fuzz_world import EXAMPLES, PATIENCE_S, FuzzedNode, bounded
from tests.fuzz.mutations import spoilt_bytes
from tests.integration.dsp_world import CONTEXT, KEY, THEM, message, mock_token

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")
"""Hypothesis notices the node, which draws its jitter on the other thread."""
IDLE_S = 0.05
"""Who has said nothing for so long waits for the rest of the request."""
CROWD = 100
"""Connections that are held open at once."""
BODY = json.dumps({"@context": CONTEXT, "@type": "CatalogRequestMessage"}).encode()
TOKEN = mock_token(THEM).encode()
CATALOG = b"POST /api/v1/dsp/2025-1/catalog/request HTTP/1.1\r\nHost: a\r\nAuthorization: " + TOKEN + b"\r\n"
SIZED = CATALOG + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = CATALOG + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"
QUERY = b"POST /management/v3/assets/request HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + KEY.encode()
DATA = b"GET /public/a/../b?c=d HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nRange: bytes=0-1\r\n\r\n"
REQUESTS = {
    "sized": SIZED,
    "chunked": CHUNKED,
    "query": QUERY + b"\r\nContent-Length: 2\r\n\r\n{}",
    "data": DATA,
    "gzip": CATALOG + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "expect": CATALOG + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: x\r\n\r\n",
    "old": b"GET /api/check/health HTTP/1.0\r\n\r\n",
    "pipelined": (SIZED + CHUNKED + DATA) * 3,
}
FORBIDDEN = {
    "two lengths": CATALOG + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": CATALOG + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": CATALOG + b"Content-Length: -1\r\n\r\n",
    "length in words": CATALOG + b"Content-Length: many\r\n\r\n",
    "unknown coding": CATALOG + b"Transfer-Encoding: chunked, whatever\r\n\r\n0\r\n\r\n",
    "bare line feed in a field": CATALOG + b"X: a\nY: b\r\n\r\n",
    "zero byte in a field": CATALOG + b"X: a\x00b\r\n\r\n",
    "folded field": CATALOG + b"X: a\r\n b\r\n\r\n",
    "blank before the colon": CATALOG + b"X : a\r\n\r\n",
    "no method": b"\x00\x01\x02\r\n\r\n",
    "a TLS hello": bytes.fromhex("160301020001") + bytes(300),
    "long line": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
    "long field": CATALOG + b"X: " + b"a" * 40_000 + b"\r\n\r\n",
    "many fields": CATALOG + b"X: a\r\n" * 500 + b"\r\n",
    "chunk of no size": CATALOG + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "endless chunk size": CATALOG + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40_000 + b"\r\n",
    "chunk longer than said": CATALOG + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "many trailers": CATALOG + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 500 + b"\r\n",
}


async def said(url: str, sent: bytes, *, idle_s: float | None = None) -> bytes:
    """All that comes back until the other side closes, or until it has said nothing for `idle_s`."""
    reader, writer = await asyncio.open_connection(URL(url).host, URL(url).port)
    answers = b""
    try:
        writer.write(sent)
        await writer.drain()
        while more := await asyncio.wait_for(reader.read(1 << 16), idle_s):
            answers += more
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return answers


def listeners(fuzzed: FuzzedNode) -> Iterator[str]:
    yield fuzzed.public
    yield fuzzed.management


def assert_http(answers: bytes) -> None:
    head = re.match(rb"HTTP/(?:0\.9|1\.0|1\.1) (\d{3}) ", answers)  # the version is the client's own
    assert not answers or (head is not None and head[1] != b"500"), answers[:1000]
    assert b"Traceback" not in answers
    assert b"aiohttp" not in answers.lower()


@pytest.mark.parametrize("name", REQUESTS)
def test_spoilt_requests_are_answered_or_dropped(fuzzed: FuzzedNode, name: str) -> None:
    @bounded(3, few=6)
    @given(sent=spoilt_bytes(REQUESTS[name]) | st.binary(max_size=200))
    def attack(sent: bytes) -> None:
        for url in listeners(fuzzed):
            assert_http(fuzzed.run(asyncio.wait_for(said(url, sent, idle_s=IDLE_S), PATIENCE_S)))
        assert fuzzed.surprises() == []

    attack()


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_no_http_is_refused(fuzzed: FuzzedNode, name: str) -> None:
    for url in listeners(fuzzed):
        answers = fuzzed.run(asyncio.wait_for(said(url, FORBIDDEN[name]), PATIENCE_S))
        assert_http(answers)
        assert answers[:10] in (b"HTTP/1.0 4", b"HTTP/1.1 4"), answers[:200]
    assert fuzzed.surprises() == []


STALLED = {
    "silent": b"",
    "half a line": b"POST /api/v1/d",
    "half a head": CATALOG,
    "half a body": SIZED[:-5],
    "half a chunk": CHUNKED[:-12],
    "no chunk": CHUNKED[: CHUNKED.index(b"\r\n\r\n") + 4],
    "a body announced": CATALOG + b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n",
}


async def serve_others_meanwhile(fuzzed: FuzzedNode, sent: bytes) -> None:
    """Hold a crowd of connections that do not go on; others are served as quickly as ever."""
    host, port = fuzzed.world.running.public.host, fuzzed.world.running.public.port
    crowd = [await asyncio.open_connection(host, port) for _ in range(CROWD)]
    for _, writer in crowd:
        writer.write(sent)
        await writer.drain()
    began = time.perf_counter()
    answer = await fuzzed.world.post("/catalog/request", message("CatalogRequestMessage"))
    assert answer.status == 200
    async with fuzzed.world.session.get(f"{fuzzed.management}/check/health") as healthy:
        assert healthy.status == 200
    assert time.perf_counter() - began < PATIENCE_S
    for _, writer in crowd:
        writer.close()


@pytest.mark.parametrize("how", STALLED)
def test_a_crowd_that_stalls_keeps_nobody_waiting(fuzzed: FuzzedNode, how: str) -> None:
    fuzzed.run(serve_others_meanwhile(fuzzed, STALLED[how]))
    assert fuzzed.surprises() == []


@pytest.mark.skipif(not EXAMPLES, reason="waits for the limits of half a minute: `make fuzz` does")
def test_who_stalls_is_shown_out(fuzzed: FuzzedNode) -> None:
    async def wait_for_all() -> list[bytes]:
        waits = [said(fuzzed.public, sent) for sent in STALLED.values()]
        return await asyncio.wait_for(asyncio.gather(*waits), 60)

    for answers in asyncio.run(wait_for_all()):
        assert_http(answers)
    assert fuzzed.surprises() == []


def test_pipelined_requests_are_answered_in_order(fuzzed: FuzzedNode) -> None:
    last = DATA.replace(b"Range", b"Connection: close\r\nRange")
    answers = fuzzed.run(asyncio.wait_for(said(fuzzed.public, SIZED + CHUNKED + SIZED + last), PATIENCE_S))
    statuses = [answers[at + 9 : at + 12] for at in range(len(answers)) if answers.startswith(b"HTTP/1.1 ", at)]
    assert statuses == [b"200", b"200", b"200", b"403"]
