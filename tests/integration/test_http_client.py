"""The outgoing client against real, and really broken, servers on loopback."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from connector.http.client import Outbound, Stream
from connector.http.guard import AddressPolicy
from connector.http.server import serve
from connector.protocol.errors import LocalError, Unreachable

LOCAL = AddressPolicy(allow_loopback=True, allow_http=True)
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def client() -> AsyncIterator[Outbound]:
    async with Outbound(LOCAL) as outbound:
        yield outbound


@asynccontextmanager
async def peer(behave: Peer) -> AsyncIterator[str]:
    """Serve raw bytes: a peer that need not keep to HTTP. Yields its root URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behave(reader, writer)
            await writer.drain()
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


def says(answer: bytes) -> Peer:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return behave


def with_body(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields])
    return head.encode() + b"\r\n\r\n" + body


async def keeps_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_answer_is_whole_whatever_its_status(client: Outbound) -> None:
    async with peer(says(with_body(b'{"code":"409"}', "X-Seen: yes", status="409 Conflict"))) as url:
        answer = await client.send("POST", url, headers={"Authorization": "Bearer x"}, body=b"{}")
    assert (answer.status, answer.headers["x-seen"], answer.json()) == (409, "yes", {"code": "409"})


async def test_request_carries_what_was_given(client: Outbound) -> None:
    seen: dict[str, object] = {}

    async def echo(request: web.Request) -> web.Response:
        seen.update(path=request.raw_path, method=request.method, body=await request.read(), **request.headers)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", echo)
    listener = await serve(app, "127.0.0.1", 0)
    try:
        fields = {"Authorization": "Bearer x", "Content-Type": "application/json"}
        await client.send("POST", f"{listener.url}/a%2Fb?q=%2B1", headers=fields, body=b'{"a":1}')
    finally:
        await listener.close()
    assert (seen["path"], seen["method"], seen["body"]) == ("/a%2Fb?q=%2B1", "POST", b'{"a":1}')
    assert (seen["Authorization"], seen["Content-Type"], seen["Accept-Encoding"]) == (
        "Bearer x",
        "application/json",
        "gzip",
    )
    assert "aiohttp" not in str(seen["User-Agent"])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: nonsense;;=\r\n\r\n",
    ],
    ids=["chunked", "no content", "gzip of nothing", "odd content type"],
)
async def test_empty_answer_without_content_type(client: Outbound, answer: bytes) -> None:
    async with peer(says(answer)) as url:
        got = await client.send("POST", url, body=b"{}")
    assert (got.body, got.json()) == (b"", None)


async def test_json_answer_without_content_type(client: Outbound) -> None:
    async with peer(says(with_body(b'{"@type":"X"}'))) as url:
        assert (await client.send("GET", url)).json() == {"@type": "X"}


async def test_answer_that_is_not_json(client: Outbound) -> None:
    async with peer(says(with_body(b"<html>"))) as url:
        answer = await client.send("GET", url)
    with pytest.raises(Unreachable, match=r"answered 200, but the body is not JSON: .* line 1, column 1"):
        answer.json()


async def test_gzip_answer_is_unpacked(client: Outbound) -> None:
    async with peer(says(with_body(gzip.compress(b"{}" * 50), "Content-Encoding: gzip"))) as url:
        assert (await client.send("GET", url)).body == b"{}" * 50


@pytest.mark.parametrize(
    ("body", "encoding", "fault"),
    [
        (gzip.compress(bytes(50_000_000)), "gzip", "larger than 1048576 bytes"),
        (bytes(1 << 21), "identity", "larger than 1048576 bytes"),
        (b"{}", "gzip", "not valid gzip"),
        (zlib.compress(b"{}"), "deflate", "encoding is not understood"),
    ],
    ids=["bomb", "large", "not gzip", "deflate"],
)
async def test_unusable_answer(client: Outbound, body: bytes, encoding: str, fault: str) -> None:
    async with peer(says(with_body(body, f"Content-Encoding: {encoding}"))) as url:
        with pytest.raises(Unreachable, match=rf"127\.0\.0\.1:\d+: answered, but .*{fault}"):
            await client.send("GET", url, max_bytes=1 << 20)


async def test_endless_chunked_answer_is_cut(client: Outbound) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")
            await writer.drain()

    async with peer(endless) as url:
        with pytest.raises(Unreachable, match="larger than 4194304 bytes"):
            await client.send("GET", url)


async def test_silent_peer_is_named_with_the_likely_cause(client: Outbound) -> None:
    async with peer(keeps_silent) as url:
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+: no answer within 0.2 s: the peer hangs .*schema"):
            await client.send("POST", url, body=b"{}", timeout_s=0.2)


async def test_answer_that_drips_is_bounded_in_time(client: Outbound) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await reader.read()

    async with peer(drip) as url:
        with pytest.raises(Unreachable, match=r"no answer within 0.2 s"):
            await client.send("GET", url, timeout_s=0.2)


@pytest.mark.parametrize(
    ("answer", "phase"),
    [
        (b"", "the peer closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "the answer broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the answer is not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", "the answer is not HTTP"),
    ],
    ids=["closed", "short", "bad chunk", "ssh", "long field"],
)
async def test_broken_answer(client: Outbound, answer: bytes, phase: str) -> None:
    async with peer(says(answer)) as url:
        with pytest.raises(Unreachable, match=phase):
            await client.send("POST", url, body=b"{}")


async def test_refused_connection(client: Outbound) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+: no connection: .*[Rr]efused"):
            await client.send("GET", f"http://127.0.0.1:{unused.getsockname()[1]}/")


async def test_redirect_is_an_answer_and_not_followed(client: Outbound) -> None:
    asked = 0

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(with_body(b"", "Location: /elsewhere", status="307 Temporary Redirect"))

    async with peer(redirect) as url:
        assert (await client.send("GET", url)).status == 307
        with pytest.raises(Unreachable, match="answered 307 instead of the document"):
            await client.get(url)
    assert asked == 2


async def test_cookies_of_strangers_are_not_kept(client: Outbound) -> None:
    heads: list[bytes] = []

    async def note(request: web.Request) -> web.Response:
        heads.append(request.headers.get("Cookie", "").encode())
        return web.Response(headers={"Set-Cookie": "track=1"})

    app = web.Application()
    app.router.add_get("/", note)
    listener = await serve(app, "127.0.0.1", 0)
    try:
        await client.send("GET", listener.url)
        await client.send("GET", listener.url)
    finally:
        await listener.close()
    assert heads == [b"", b""]


async def test_small_document(client: Outbound) -> None:
    async with peer(says(with_body(b'{"id":"did:web:x"}'))) as url:
        assert await client.get(url) == b'{"id":"did:web:x"}'


async def test_large_document_is_refused(client: Outbound) -> None:
    async with peer(says(with_body(bytes((256 << 10) + 1)))) as url:
        with pytest.raises(Unreachable, match="larger than 262144 bytes"):
            await client.get(url)


class Names(AbstractResolver):
    """A name service under a stranger's control: each look-up takes the next list of addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not self.answers:
            raise OSError(None, "no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.answers.pop(0)
        ]

    @override
    async def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254", "127.0.0.1", "::1"]],
)
async def test_name_that_resolves_inside_is_refused_at_connect_time(addresses: list[str]) -> None:
    reached: list[str] = []

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append("inside")
        writer.write(with_body(b""))

    async with peer(behave) as url, Outbound(AddressPolicy(allow_http=True), resolver=Names(addresses)) as client:
        port = url.rpartition(":")[2]
        with pytest.raises(Unreachable, match=r"peer\.example:\d+: no connection: .*refused here"):
            await client.send("GET", f"http://peer.example:{port}/")
    assert reached == []


async def test_rebinding_between_check_and_use_gains_nothing() -> None:
    """The checked URL is harmless and stays so: what counts is the address under the socket, at every look-up."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with peer(says(with_body(b"", "Connection: close"))) as url, Outbound(LOCAL, resolver=names) as client:
        port = url.rpartition(":")[2]
        assert (await client.send("GET", f"http://peer.example:{port}/")).status == 200
        rebound = f"http://peer.example.:{port}/"  # the trailing dot passes by the cache of names
        with pytest.raises(Unreachable, match=r"reserved address 169.254.169.254 is refused here"):
            await client.send("GET", rebound)


async def test_refused_address_does_not_hide_an_allowed_one() -> None:
    names = Names(["10.0.0.1", "127.0.0.1"])
    async with peer(says(with_body(b"ok"))) as url, Outbound(LOCAL, resolver=names) as client:
        port = url.rpartition(":")[2]
        assert (await client.send("GET", f"http://peer.example:{port}/")).body == b"ok"


async def test_unknown_name() -> None:
    async with Outbound(LOCAL, resolver=Names()) as client:
        with pytest.raises(Unreachable, match=r"peer\.example:80: the host name is not known"):
            await client.send("GET", "http://peer.example/")


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "ftp://peer.example/", "http://user@127.0.0.1/", "nonsense"])
async def test_refused_url_is_unreachable(client: Outbound, url: str) -> None:
    with pytest.raises(Unreachable, match="refused to connect"):
        await client.send("GET", url)
    with pytest.raises(Unreachable, match="refused to connect"):
        async with client.stream("GET", url):
            pytest.fail("connected")


async def rest(stream: Stream) -> bytes:
    pieces = []
    while piece := await stream.read():
        pieces.append(piece)
    return b"".join(pieces)


async def test_stream_hands_over_packed_bytes_as_they_come(client: Outbound) -> None:
    packed = gzip.compress(b"{}" * 50)
    gate = asyncio.Event()

    async def halves(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(with_body(packed, "Content-Encoding: gzip")[:-9])
        await gate.wait()
        writer.write(packed[-9:])

    async with peer(halves) as url, client.stream("GET", url, headers={"Authorization": "x"}) as stream:
        assert (stream.status, stream.headers["Content-Encoding"]) == (200, "gzip")
        got = await stream.read()
        assert packed.startswith(got)
        assert len(got) < len(packed)
        gate.set()
        got += await rest(stream)
    assert got == packed


async def test_stream_sends_what_comes_and_adds_no_header_of_ours(client: Outbound) -> None:
    seen: dict[str, object] = {}

    async def take(request: web.Request) -> web.Response:
        seen.update(body=await request.read(), **request.headers)
        return web.Response(status=204)

    async def source() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    app = web.Application()
    app.router.add_put("/", take)
    listener = await serve(app, "127.0.0.1", 0)
    try:
        async with client.stream("PUT", listener.url, body=source()) as stream:
            assert stream.status == 204
    finally:
        await listener.close()
    assert seen["body"] == b"onetwo"
    assert seen.keys() <= {"body", "Host", "Accept", "Transfer-Encoding"}


async def test_stream_that_falls_silent(client: Outbound) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await reader.read()

    async with peer(stall) as url, client.stream("GET", url, idle_s=0.2) as stream:
        assert await stream.read() == b"abc"
        with pytest.raises(Unreachable, match="the data stopped for too long"):
            await stream.read()


async def test_stream_that_breaks_off(client: Outbound) -> None:
    async with (
        peer(says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")) as url,
        client.stream("GET", url) as stream,
    ):
        with pytest.raises(Unreachable, match="the answer broke off"):
            await rest(stream)


async def test_stream_without_an_answer(client: Outbound) -> None:
    async with peer(keeps_silent) as url:
        with pytest.raises(Unreachable, match=r"no answer within 0.2 s"):
            async with client.stream("GET", url, idle_s=0.2):
                pytest.fail("answered")


async def test_trust_must_be_readable(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("trust")
    (folder / "not.pem").write_text("no certificate")
    for file in (folder / "missing.pem", folder / "not.pem"):
        with pytest.raises(LocalError, match="a PEM file is expected"):
            Outbound(LOCAL, trust=file)
