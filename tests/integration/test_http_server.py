"""Listeners and what every surface shares, over real sockets, with peers that are slow, rude or gone."""

import asyncio
import gc
import gzip
import json
import os
import re
import signal
import socket
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from socket import create_connection
from typing import NamedTuple

import pytest
import structlog
import uvloop
from aiohttp import web

from connector.http.body import read_json
from connector.http.middleware import application, compress, finish_response
from connector.http.server import Limits, Listener, Refused, serve, stop_signal
from connector.protocol.errors import Conflict, ConnectorError, LocalError, PeerError

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def render(_: web.Request, error: ConnectorError) -> web.Response:
    status = error.status if isinstance(error, PeerError | LocalError) else 500
    return web.json_response({"@type": "SurfaceError", "reason": [error.reason]}, status=status)


async def read_back(request: web.Request) -> web.Response:
    document = await read_json(request, max_bytes=1000, timeout_s=0.2)
    return web.json_response({"got": document, "path": request.path, "id": dict(request.match_info)})


async def fail(request: web.Request) -> web.Response:
    match request.match_info["how"]:
        case "peer":
            raise PeerError(409, "not in this state", "/state")
        case "local":
            raise Conflict("in use")
        case "redirect":
            raise web.HTTPSeeOther("/elsewhere")
        case "large":
            raise web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2)
        case _:
            raise ZeroDivisionError("the password is hunter2")


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    app = application(render)
    app.router.add_post("/negotiations/{pid}/request", read_back)
    app.router.add_get("/fail/{how}", fail)
    started = await serve(app, "127.0.0.1", 0)
    yield started
    await started.close()


@asynccontextmanager
async def serving(
    handle: Handle, limits: Limits | None = None, refused: Refused = lambda _limit, _address: None
) -> AsyncIterator[Listener]:
    app = application(render)
    app.router.add_route("*", "/{tail:.*}", handle)
    started = await serve(app, "127.0.0.1", 0, limits=limits or Limits(), refused=refused)
    try:
        yield started
    finally:
        await started.close()


class Reply(NamedTuple):
    status: int
    head: dict[str, str]
    body: bytes

    def reason(self) -> str:
        error = json.loads(self.body)
        assert error["@type"] == "SurfaceError"
        return str(error["reason"][0])


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return Reply(int(lines[0].split()[1]), head, await reader.readexactly(int(head.get("content-length", "0"))))


async def ask(listener: Listener, request: bytes) -> Reply:
    """Send raw bytes and read one answer."""
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    try:
        writer.write(request)
        return await read_reply(reader)
    finally:
        writer.close()
        await writer.wait_closed()


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode()


def post(body: bytes, *fields: str, path: str = "/negotiations/1/request") -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


def chunked(*pieces: bytes) -> bytes:
    head = b"POST /negotiations/1/request HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


# --- listening ---------------------------------------------------------------------------------------------------


async def test_port_zero_reports_the_real_port(listener: Listener) -> None:
    assert listener.port > 0
    assert listener.url == f"http://127.0.0.1:{listener.port}"


async def test_taken_port_is_our_own_fault(listener: Listener) -> None:
    with pytest.raises(LocalError, match=f"cannot listen on 127.0.0.1:{listener.port}: .*in use"):
        await serve(web.Application(), "127.0.0.1", listener.port)


async def test_close_finishes_what_is_under_way_and_refuses_what_is_new() -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        entered.set()
        await gate.wait()
        return web.Response(text="finished")

    async with serving(slow) as listener:
        under_way = asyncio.create_task(ask(listener, get("/")))
        await entered.wait()
        closing = asyncio.create_task(listener.close())
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(listener.host, listener.port)
        gate.set()
        assert (await under_way).body == b"finished"
        await closing


async def test_close_does_not_wait_for_ever() -> None:
    entered = asyncio.Event()

    async def stuck(_: web.Request) -> web.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(stuck, Limits(grace_s=0.2)) as listener:
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(get("/"))
        await entered.wait()
        async with asyncio.timeout(2):
            await listener.close()
            assert await reader.read() == b""
        writer.close()


async def test_idle_connections_do_not_hold_up_the_close(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(post(b"{}"))
    assert (await read_reply(reader)).status == 200
    async with asyncio.timeout(0.5):
        await listener.close()
        assert await reader.read() == b""
    writer.close()


# --- one request, one meaning ------------------------------------------------------------------------------------

POST = b"POST /negotiations/1/request HTTP/1.1\r\nHost: x\r\n"
AMBIGUOUS = {
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 7\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 7\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a blank before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked misspelt": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "a null in a field": POST + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}",
}
HIDDEN = get("/fail/local")


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_a_proxy_may_read_otherwise_is_refused_and_ends_the_connection(
    listener: Listener, name: str
) -> None:
    """Request smuggling (RFC 9112, 11.2): no second request is found in what one of two readers takes for a body."""
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(AMBIGUOUS[name] + HIDDEN)
    async with asyncio.timeout(5):
        answers = await reader.read()
    writer.close()
    assert answers.startswith(b"HTTP/1.0 400 ")
    assert answers.count(b"\r\n\r\n") == 1


async def test_pipelined_requests_have_each_their_own_answer(listener: Listener) -> None:
    reader, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(post(b"{}", "X-Request-ID: first") + HIDDEN + post(b"[]", "X-Request-ID: third"))
    replies = [await read_reply(reader) for _ in range(3)]
    writer.close()
    assert [reply.status for reply in replies] == [200, 409, 200]
    assert (replies[0].head["x-request-id"], replies[2].head["x-request-id"]) == ("first", "third")


# --- connections -------------------------------------------------------------------------------------------------


Wires = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(listener: Listener, source: str = "127.0.0.1") -> Wires:
    """A connection that the listener has let in: it has answered."""
    wires = await asyncio.open_connection(listener.host, listener.port, local_addr=(source, 0))
    wires[1].write(post(b"{}"))
    assert (await read_reply(wires[0])).status == 200
    return wires


async def told_full(listener: Listener, source: str = "127.0.0.1") -> Reply:
    """What one too many hears; nothing has been asked."""
    reader, writer = await asyncio.open_connection(listener.host, listener.port, local_addr=(source, 0))
    reply = await read_reply(reader)
    assert await reader.read() == b""
    writer.close()
    return reply


async def left(wires: Wires) -> None:
    """Go, and wait until the listener has noticed."""
    reader, writer = wires
    writer.write(post(b"{}", "Connection: close"))
    assert (await read_reply(reader)).status == 200
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


async def test_one_address_has_so_many_connections_and_others_have_theirs() -> None:
    refused: list[tuple[str, str]] = []
    limits = Limits(connections_per_address=2)
    async with serving(read_back, limits, refused=lambda *what: refused.append(what)) as listener:
        first, second = await connected(listener), await connected(listener)
        reply = await told_full(listener)
        assert (reply.status, reply.head["retry-after"], reply.head["connection"]) == (503, "5", "close")
        assert "server" not in reply.head
        other = await connected(listener, "127.0.0.2")
        assert refused == [("connections", "127.0.0.1")]
        await left(first)
        for wires in (await connected(listener), second, other):
            wires[1].close()


async def test_a_listener_has_so_many_connections_in_all() -> None:
    async with serving(read_back, Limits(connections=2)) as listener:
        first, second = await connected(listener), await connected(listener, "127.0.0.2")
        assert (await told_full(listener, "127.0.0.3")).status == 503
        await left(first)
        for wires in (await connected(listener, "127.0.0.3"), second):
            wires[1].close()


async def test_refused_connections_do_not_count_and_leave_nothing_behind() -> None:
    async with serving(read_back, Limits(connections=1)) as listener:
        only = await connected(listener)
        for _ in range(50):
            assert (await told_full(listener)).status == 503
        await left(only)
        (await connected(listener))[1].close()


def test_one_too_many_is_told_so_under_uvloop_as_well() -> None:
    async def main() -> None:
        async with serving(read_back, Limits(connections=1)) as listener:
            only = await connected(listener)
            assert (await told_full(listener)).status == 503
            only[1].close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such timeout")
async def test_who_takes_nothing_of_an_answer_is_cut_off() -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 20))
        except ConnectionError:
            gone.set()
        return response

    async with serving(endless, Limits(stall_s=0.2)) as listener:
        with create_connection((listener.host, listener.port)) as deaf:
            deaf.sendall(get("/"))
            async with asyncio.timeout(10):
                await gone.wait()


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_the_wait(which: signal.Signals) -> None:
    waiting = asyncio.create_task(stop_signal())
    await asyncio.sleep(0)
    os.kill(os.getpid(), which)
    assert await waiting is which


async def test_head_must_be_complete_in_time() -> None:
    async with serving(read_back, Limits(idle_s=0.2)) as listener:
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow:")
        async with asyncio.timeout(3):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    "request_", [get("/" + "a" * 20_000), get("/", "X: " + "a" * 20_000), get("/", *["X: 1"] * 99)]
)
async def test_oversize_head_is_refused(listener: Listener, request_: bytes) -> None:
    assert (await ask(listener, request_)).status == 400


# --- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        post(b'{"a":1}', "Content-Type: application/json; charset=utf-8"),
        post(b'{"a":1}', "Content-Type: application/ld+json"),
        post(b'{"a":1}'),
        post(gzip.compress(b'{"a":1}'), "Content-Encoding: gzip"),
        chunked(b'{"a"', b":1}", b""),
    ],
    ids=["json", "json-ld", "no type", "gzip", "chunked"],
)
async def test_json_body_in_the_usual_wrappings(listener: Listener, request_: bytes) -> None:
    assert json.loads((await ask(listener, request_)).body)["got"] == {"a": 1}


@pytest.mark.parametrize("request_", [post(b""), chunked(b"")], ids=["no length", "chunked"])
async def test_empty_body_is_none(listener: Listener, request_: bytes) -> None:
    assert json.loads((await ask(listener, request_)).body)["got"] is None


@pytest.mark.parametrize(
    ("request_", "status", "fault"),
    [
        (post(b'{"a":\n!}'), 400, "line 2, column 1"),
        (post(b"[" * 70 + b"]" * 70), 400, "deeper than 64"),
        (post(bytes(1001)), 413, "larger than 1000 bytes"),
        (chunked(bytes(600), bytes(600)), 413, "larger than 1000 bytes"),
        (post(gzip.compress(bytes(50_000)), "Content-Encoding: gzip"), 413, "larger than 1000 bytes"),
        (post(b"{}", "Content-Encoding: br"), 415, "send gzip"),
        (post(b"{}", "Content-Type: application/json; charset=utf-7"), 415, "send UTF-8"),
        (post(b"{}")[:-1], 408, "not complete within 0.2 s"),
        (chunked(b"{"), 408, "not complete within 0.2 s"),
    ],
    ids=["json", "deep", "length", "chunks", "bomb", "encoding", "charset", "slow", "slow chunks"],
)
async def test_unusable_body(listener: Listener, request_: bytes, status: int, fault: str) -> None:
    reply = await ask(listener, request_)
    assert (reply.status, fault in reply.reason()) == (status, True)


async def test_peer_that_leaves_in_mid_body_does_no_harm(listener: Listener) -> None:
    _, writer = await asyncio.open_connection(listener.host, listener.port)
    writer.write(post(b"{}" * 100)[:-10])
    writer.close()
    await writer.wait_closed()
    assert (await ask(listener, post(b"{}"))).status == 200


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["//negotiations/1/request", "/negotiations//1///request", "/negotiations/1/request?next=a//b#c"],
)
async def test_doubled_slashes_are_collapsed_before_routing(listener: Listener, path: str) -> None:
    reply = json.loads((await ask(listener, post(b"{}", path=path))).body)
    assert (reply["path"], reply["id"]) == ("/negotiations/1/request", {"pid": "1"})


async def test_encoded_slash_is_no_slash(listener: Listener) -> None:
    reply = json.loads((await ask(listener, post(b"{}", path="//negotiations/a%2F%2Fb/request"))).body)
    assert reply["id"] == {"pid": "a//b"}


async def test_query_is_left_alone() -> None:
    async def query(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.path} {request.rel_url.raw_query_string}")

    async with serving(query) as listener:
        assert (await ask(listener, get("//a//b?x=//1&y=%2F+"))).body == b"/a/b x=//1&y=%2F+"


async def test_paths_of_others_can_be_left_alone() -> None:
    async def raw(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    app = web.Application()
    app.router.add_get("/{tail:.*}", raw)
    listener = await serve(app, "127.0.0.1", 0, exact_below="/a")
    try:
        assert (await ask(listener, get("/a//b"))).body == b"/a//b"
        assert (await ask(listener, get("/b//a"))).body == b"/b/a"
    finally:
        await listener.close()


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/fail/peer", 409, "not in this state"),
        ("/fail/local", 409, "in use"),
        ("/fail/large", 413, "Request Entity Too Large"),
        ("/no/such/path", 404, "there is no such path here"),
        ("/negotiations/1/request", 405, "the method is not allowed for this path"),
    ],
)
async def test_failures_are_answered_in_the_surfaces_form(
    listener: Listener, path: str, status: int, reason: str
) -> None:
    reply = await ask(listener, get(path))
    assert (reply.status, reply.reason()) == (status, reason)


async def test_wrong_method_is_told_the_right_one(listener: Listener) -> None:
    assert (await ask(listener, get("/negotiations/1/request"))).head["allow"] == "POST"


async def test_redirect_passes_through(listener: Listener) -> None:
    reply = await ask(listener, get("/fail/redirect"))
    assert (reply.status, reply.head["location"]) == (303, "/elsewhere")


async def test_unexpected_failure_tells_nothing_but_the_id(listener: Listener) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        reply = await ask(listener, get("/fail/bug", "X-Request-ID: exchange-7"))
    assert reply.status == 500
    assert b"hunter2" not in reply.body
    assert "exchange-7" in reply.reason()
    failure = next(line for line in logs if line["event"] == "unexpected failure")
    assert failure["correlation_id"] == "exchange-7"
    assert isinstance(failure["exc_info"], ZeroDivisionError)


async def test_failure_after_the_head_has_left_breaks_off() -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"half")
        raise PeerError(409, "too late")

    async with serving(begin) as listener:
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(get("/"))
        assert (await reader.read()).endswith(b"4\r\nhalf\r\n")
        writer.close()


async def test_what_a_refused_request_has_read_is_not_kept_for_the_garbage_collector() -> None:
    class Read:
        """Stands for a megabyte."""

    kept: list[weakref.ref[Read]] = []

    async def refuse(_: web.Request) -> web.StreamResponse:
        read = Read()
        kept.append(weakref.ref(read))
        raise PeerError(400, "not this")

    gc.disable()
    try:
        async with serving(refuse) as listener:
            assert (await ask(listener, get("/"))).status == 400
        assert [read() for read in kept] == [None]
    finally:
        gc.enable()


async def test_each_mounted_surface_answers_in_its_own_form() -> None:
    def plain(_: web.Request, error: ConnectorError) -> web.Response:
        return web.Response(text=error.reason, status=404)

    root, inner = application(render), application(plain)
    inner.router.add_get("/there", fail)
    root.add_subapp("/inner", inner)
    listener = await serve(root, "127.0.0.1", 0)
    try:
        assert (await ask(listener, get("/inner/nowhere"))).body == b"there is no such path here"
        assert (await ask(listener, get("/nowhere"))).reason() == "there is no such path here"
    finally:
        await listener.close()


@pytest.mark.parametrize("path", ["/inner", "/inner/", "/inner/nowhere"])
async def test_a_surface_without_an_application_of_its_own_answers_in_its_form_too(path: str) -> None:
    def plain(_: web.Request, error: ConnectorError) -> web.Response:
        return web.Response(text=error.reason, status=404)

    listener = await serve(application(render, below={"/inner": plain}), "127.0.0.1", 0)
    try:
        assert (await ask(listener, get(path))).body == b"there is no such path here"
        assert (await ask(listener, get("/innermost"))).reason() == "there is no such path here"
    finally:
        await listener.close()


# --- correlation -------------------------------------------------------------------------------------------------

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["X-Request-ID: exchange-7"], "exchange-7"),
        ([f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"], TRACE),
        (["X-Request-ID: exchange-7", f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"], "exchange-7"),
        ([], "[0-9a-f]{32}"),
        (["X-Request-ID: <script>"], "[0-9a-f]{32}"),
        (["X-Request-ID: " + "a" * 200], "[0-9a-f]{32}"),
        ([f"traceparent: 00-{'0' * 32}-00f067aa0ba902b7-01"], "[1-9a-f][0-9a-f]{31}|0[0-9a-f]{31}"),
    ],
    ids=["own", "trace", "both", "none", "odd", "long", "zero trace"],
)
async def test_every_answer_carries_the_exchanges_id(listener: Listener, fields: list[str], expected: str) -> None:
    given = (await ask(listener, get("/fail/peer", *fields))).head["x-request-id"]
    assert re.fullmatch(expected, given)
    assert given != "0" * 32


async def test_id_is_bound_to_the_log_lines_of_its_request_only() -> None:
    async def bound(_: web.Request) -> web.Response:
        return web.json_response(structlog.contextvars.get_contextvars())

    async with serving(bound) as listener:
        replies = await asyncio.gather(*(ask(listener, get("/", f"X-Request-ID: id-{n}-x")) for n in range(5)))
    assert [json.loads(reply.body) for reply in replies] == [{"correlation_id": f"id-{n}-x"} for n in range(5)]
    assert structlog.contextvars.get_contextvars() == {}


async def test_answers_do_not_tell_about_our_software(listener: Listener) -> None:
    assert "server" not in (await ask(listener, get("/fail/peer"))).head


# --- gzip --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("br, *", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("xgzip", False),
        ("", False),
    ],
)
async def test_bulky_answer_is_packed_for_who_takes_it(accepted: str, packed: bool) -> None:
    async def catalog(request: web.Request) -> web.Response:
        return compress(request, web.Response(body=b"[]" * 5000))

    async with serving(catalog) as listener:
        reply = await ask(listener, get("/", f"Accept-Encoding: {accepted}"))
    assert ("content-encoding" in reply.head) is packed
    assert (gzip.decompress(reply.body) if packed else reply.body) == b"[]" * 5000
    assert reply.head["vary"] == "Accept-Encoding"


async def test_small_answer_is_not_packed() -> None:
    async def small(request: web.Request) -> web.Response:
        return compress(request, web.Response(body=b"[]" * 500))

    async with serving(small) as listener:
        assert (await ask(listener, get("/", "Accept-Encoding: gzip"))).body == b"[]" * 500


# --- the answer first, then what follows -------------------------------------------------------------------------


def read_all(port: int, received: threading.Event, size: int) -> None:
    """Be a peer in another thread, which needs nothing from the server's loop."""
    with create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(get("/"))
        taken = b""
        while b"\r\n\r\n" not in taken or len(taken.partition(b"\r\n\r\n")[2]) < size:
            taken += peer.recv(1 << 16)
        received.set()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("size", [2, 8 << 20], ids=["small", "larger than any buffer"])
def test_peer_has_the_whole_answer_before_the_next_line_runs(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], size: int
) -> None:
    received = threading.Event()
    seen: list[bool] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.set_write_buffer_limits(high=64 << 20)  # as a data plane may: nothing counts as much
        response = web.Response(body=bytes(size))
        sent = await finish_response(request, response)
        # The loop stands still here: what has not left the process by now cannot arrive.
        seen.extend([sent, received.wait(timeout=5)])
        return response

    async def main() -> None:
        async with serving(handle) as listener:
            await asyncio.to_thread(read_all, listener.port, received, size)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert seen == [True, True]


async def test_connection_goes_on_after_a_finished_answer() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.Response(text=request.path)
        assert await finish_response(request, response)
        return response

    async with serving(handle) as listener:
        reader, writer = await asyncio.open_connection(listener.host, listener.port)
        for path in ("/1", "/2", "/3"):
            writer.write(get(path))
            assert (await read_reply(reader)).body == path.encode()
        writer.close()


async def test_peer_that_left_does_not_stop_what_follows() -> None:
    entered, sent = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        entered.set()
        with pytest.raises(ConnectionError):
            await request.read()  # there is more to come, but the peer leaves
        response = web.Response(text="late")
        sent.set_result(await finish_response(request, response))
        return response

    async with serving(handle) as listener:
        _, writer = await asyncio.open_connection(listener.host, listener.port)
        writer.write(post(b"{}", path="/")[:-1])
        await entered.wait()
        writer.transport.abort()
        assert await sent is False


async def test_peer_that_does_not_read_is_not_waited_for_long() -> None:
    sent = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.Response(body=bytes(32 << 20))
        sent.set_result(await finish_response(request, response, timeout_s=0.2))
        return response

    async with serving(handle, Limits(grace_s=0.2)) as listener:
        _, writer = await asyncio.open_connection(listener.host, listener.port, limit=1)
        writer.write(get("/"))
        assert await sent is False
        writer.transport.abort()
