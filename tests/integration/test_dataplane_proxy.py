"""The transparent proxy between a real consumer and a real backend."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError, web

from connector.dataplane import delivery
from connector.http.middleware import application
from connector.http.public import public_routes, render
from connector.http.server import serve
from tests.unit.dataplane_world import AGREEMENT, BPN, World, backend, running

ALL = {"proxyPath": "true", "proxyQueryParams": "true", "proxyMethod": "true", "proxyBody": "true"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    seen = {
        "method": request.method,
        "target": request.raw_path,
        "headers": [[k, v] for k, v in request.headers.items()],
        "body": base64.b64encode(body).decode(),
    }
    return web.json_response(seen)


def sent(seen: dict[str, Any], name: str) -> list[str]:
    return [value for key, value in seen["headers"] if key.lower() == name.lower()]


@pytest.mark.parametrize("method", METHODS)
async def test_every_method_and_its_body_pass_through(method: str) -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api", **ALL})
        async with world.ask(method, "/x/y?q=1", data=b"some bytes", headers={"Content-Type": "text/x"}) as answer:
            seen = await answer.json()
    assert answer.status == 200
    assert (seen["method"], seen["target"]) == (method, "/api/x/y?q=1")
    assert base64.b64decode(seen["body"]) == b"some bytes"
    assert sent(seen, "Content-Type") == ["text/x"]
    assert sent(seen, "Content-Length") == ["10"]


async def test_a_head_brings_the_head_alone() -> None:
    async def head(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000, headers={"X-Method": request.method})

    async with backend(head) as there, running() as world:
        for flags, method in ((ALL, "HEAD"), ({}, "GET")):
            await world.open({"type": "HttpData", "baseUrl": there, **flags})
            async with world.ask("HEAD") as answer:
                assert answer.headers["X-Method"] == method
                assert answer.headers["Content-Length"] == "1000"
                assert await answer.read() == b""


async def test_nothing_passes_unless_the_address_says_so() -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/fixed/"})
        async with world.ask("POST", "/x/../y?q=1", data=b"body", headers={"Content-Type": "a/b"}) as answer:
            seen = await answer.json()
    assert (seen["method"], seen["target"], seen["body"]) == ("GET", "/fixed/", "")
    assert sent(seen, "Content-Type") == []


async def test_the_address_can_fix_method_path_query_and_body() -> None:
    fixed = {"method": "put", "path": "a/b", "queryParams": "k=v%20w&z", "body": "hello", "contentType": "text/plain"}
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api?base=1", **fixed})
        async with world.ask() as answer:
            seen = await answer.json()
    assert (seen["method"], seen["target"]) == ("PUT", "/api/a/b?base=1&k=v%20w&z")
    assert base64.b64decode(seen["body"]) == b"hello"
    assert sent(seen, "Content-Type") == ["text/plain"]


@pytest.mark.parametrize("tail", ["", "/"])
async def test_the_public_url_itself_is_the_base_url(tail: str) -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api", **ALL})
        async with world.ask("GET", tail) as answer:
            assert (await answer.json())["target"] == "/api"


async def test_the_surface_may_be_mounted_below_another_path() -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api", **ALL})
        inner, root = application(render), web.Application()
        inner.add_routes(public_routes(world.plane, ""))
        root.add_subapp("/a/data", inner)
        listener = await serve(root, "127.0.0.1", 0)
        try:
            world.url = f"{listener.url}/a/data"
            for tail, target in (("", "/api"), ("/", "/api"), ("/x?y=%20", "/api/x?y=%20")):
                async with world.ask("GET", tail) as answer:
                    assert (await answer.json())["target"] == target
            async with world.session.post(f"{world.url}/token") as answer:
                assert answer.status == 400
        finally:
            await listener.close()


async def test_spelling_of_path_and_query_is_kept() -> None:
    odd = "/dXJuOnV1aWQ/a%20b/%E2%82%AC/x+y//z;v=1?a=%20+b&c=%2f%2F&a=%41&sig=%3D%3d&empty=&flag"
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, **ALL})
        async with world.ask("GET", odd) as answer:
            assert (await answer.json())["target"] == odd


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/a/../../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/a%2f..%2f..%2fsecret",
        "/%252e%252e/secret",
        "/..;x=1/secret",
        "/..%5csecret",
        "/..\\secret",
        "/a/%00",
        "/a/.",
    ],
)
async def test_a_path_cannot_leave_the_base_url(path: str) -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api", **ALL})
        async with world.ask("GET", path) as answer:
            assert answer.status == 400
            assert "path" in (await answer.json())["errors"][0]


@pytest.mark.parametrize("path", ["//evil.example/x", "/@evil.example", "/http://evil.example/", "/:80/"])
async def test_a_path_cannot_name_another_host(path: str) -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, **ALL})
        async with world.ask("GET", path) as answer:
            assert (await answer.json())["target"] == path


async def test_a_consumer_cannot_override_what_the_operator_set_in_the_query() -> None:
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, "queryParams": "tenant=a", **ALL})
        async with world.ask("GET", "?tenant=b&ten%61nt=c&x=1") as answer:
            assert (await answer.json())["target"] == "/?tenant=a&x=1"


async def test_the_backend_learns_who_asks_and_never_from_the_consumer() -> None:
    forged = {
        "Edc-Bpn": "BPNLEVIL",
        "EDC_BPN": "BPNLEVIL",
        "edc.bpn": "BPNLEVIL",
        "Edc-Contract-Agreement-Id": "evil",
        "edc_contract_agreement_id": "evil",
        "X-Forwarded-For": "10.0.0.1",
        "X-HTTP-Method-Override": "DELETE",
        "Cookie": "session=evil",
        "X_Api_Key": "evil",
        "Connection": "X-Hop, keep-alive",
        "X-Hop": "hop",
        "X-Kept": "kept",
    }
    address = {"authKey": "X-Api-Key", "authCode": "ours", "header:X-Static": "static"}
    async with backend(echo) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, **ALL, **address})
        async with world.ask(headers=forged) as answer:
            seen = await answer.json()
    assert sent(seen, "Edc-Bpn") == [BPN]
    assert sent(seen, "Edc-Contract-Agreement-Id") == [AGREEMENT]
    assert sent(seen, "X-Api-Key") == ["ours"]
    assert sent(seen, "X-Static") == ["static"]
    assert sent(seen, "X-Kept") == ["kept"]
    assert "evil" not in str(seen["headers"]).lower()
    assert world.token not in str(seen)
    assert not sent(seen, "X-Hop") + sent(seen, "X-Forwarded-For") + sent(seen, "X-HTTP-Method-Override")


async def test_a_secret_of_the_vault_reaches_the_backend_and_follows_its_changes() -> None:
    async with backend(echo) as there, running() as world:
        await world.secret("backend-key", "first")
        await world.open(
            {"type": "HttpData", "baseUrl": there, "authKey": "Authorization", "secretName": "backend-key"}
        )
        for value in ("first", "second"):
            await world.secret("backend-key", value)
            async with world.ask() as answer:
                assert sent(await answer.json(), "Authorization") == [value]


async def test_a_missing_secret_is_our_fault_and_names_nothing() -> None:
    async with running() as world:
        address = {"type": "HttpData", "baseUrl": "http://127.0.0.1:9", "authKey": "X-Key", "secretName": "gone"}
        await world.open(address)
        async with world.ask() as answer:
            assert answer.status == 500
            assert "gone" not in await answer.text()


async def test_status_and_headers_pass_and_what_speaks_for_the_origin_does_not() -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"X-Kept": "yes", "Set-Cookie": "a=b", "Strict-Transport-Security": "max-age=1", "ETag": '"1"'}
        return web.Response(status=409, reason="Odd", text="conflict", headers={**headers, "WWW-Authenticate": "Basic"})

    async with backend(answer) as there, running() as world:
        await world.open({"type": "ProxyHttpData", "baseUrl": there})
        async with world.ask() as got:
            assert (got.status, got.reason, await got.text()) == (409, "Odd", "conflict")
            assert (got.headers["X-Kept"], got.headers["ETag"]) == ("yes", '"1"')
            assert {"Set-Cookie", "Strict-Transport-Security", "WWW-Authenticate"}.isdisjoint(got.headers)


async def test_ranges_and_conditions_pass_through() -> None:
    async def ranged(request: web.Request) -> web.Response:
        assert request.headers["If-Range"] == '"v1"'
        assert request.headers["Range"] == "bytes=2-4"
        return web.Response(
            status=206, body=b"cde", headers={"Content-Range": "bytes 2-4/10", "Accept-Ranges": "bytes"}
        )

    async def unchanged(request: web.Request) -> web.Response:
        return web.Response(status=304, headers={"ETag": request.headers["If-None-Match"]})

    async with backend(ranged) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask(headers={"Range": "bytes=2-4", "If-Range": '"v1"'}) as got:
            assert (got.status, got.headers["Content-Range"], await got.read()) == (206, "bytes 2-4/10", b"cde")
    async with backend(unchanged) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask(headers={"If-None-Match": '"v2"'}) as got:
            assert (got.status, got.headers["ETag"], await got.read()) == (304, '"v2"', b"")


async def test_a_packed_answer_stays_packed() -> None:
    async def packed(_: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"})

    async with backend(packed) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as got:
            assert (got.headers["Content-Encoding"], await got.read()) == ("gzip", b"\x1f\x8bnot really")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("{there}/api/next?p=2", "https://p.example/public/next?p=2"),
        ("/api/next", "https://p.example/public/next"),
        ("/elsewhere", None),
        ("//evil.example/api/", None),
        ("http://internal.example/api/next", None),
        ("{there}/apinext", None),
        ("/api/../admin", None),
    ],
)
async def test_a_redirect_is_not_followed_and_does_not_show_the_backend(location: str, shown: str | None) -> None:
    async def moved(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": location.format(there=request.url.origin())})

    async with backend(moved) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": f"{there}/api", **ALL})
        async with world.ask("GET", "/old") as got:
            assert (got.status, got.headers.get("Location")) == (302, shown)


async def test_a_backend_that_is_down_is_a_502() -> None:
    async with backend(echo) as there:
        pass
    async with running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as got:
            assert got.status == 502
            assert await got.json() == {"errors": ["the provider's backend cannot be reached"]}


async def test_a_silent_backend_is_a_504() -> None:
    done = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    async with backend(silent) as there, running(idle_s=0.05) as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as got:
            assert got.status == 504
        done.set()


@pytest.mark.parametrize("length", [None, 10_000_000])
async def test_a_backend_that_breaks_off_is_noticed_by_the_consumer(length: int | None) -> None:
    async def torn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(length)} if length else {})
        await response.prepare(request)
        await response.write(b"x" * 100_000)
        assert request.transport
        request.transport.close()
        return response

    async with backend(torn) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        got = await world.ask()
        assert got.status == 200
        with pytest.raises((ClientError, ConnectionError)):
            await got.read()


async def test_a_short_answer_that_breaks_off_is_a_502() -> None:
    async def torn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport
        request.transport.close()
        return response

    async with backend(torn) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as got:
            assert got.status == 502


async def test_a_long_answer_waits_for_a_slow_reader_in_bounded_memory() -> None:
    total, taken, stuck = 64 << 20, 0, asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal taken
        response = web.StreamResponse()
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        while taken < total:
            timer = loop.call_later(0.3, stuck.set)
            await response.write(b"x" * 65536)
            timer.cancel()
            taken += 65536
        await response.write_eof()
        return response

    async with backend(endless) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        async with world.ask() as got:
            async with asyncio.timeout(20):
                await stuck.wait()  # nobody reads: the backend is held back
            held = taken
            assert held < 24 << 20  # kernel buffers of two connections, and ours
            size = 0
            async for chunk in got.content.iter_any():
                size += len(chunk)
        assert size == total


async def test_an_upload_waits_for_a_slow_backend_and_arrives_whole() -> None:
    total, offered, stuck, go = 48 << 20, 0, asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await go.wait()
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return web.json_response({"size": size})

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal offered
        loop = asyncio.get_running_loop()
        while offered < total:
            timer = loop.call_later(0.3, stuck.set)
            yield b"y" * 65536
            timer.cancel()
            offered += 65536

    async def hold() -> None:
        await stuck.wait()
        assert offered < 24 << 20
        go.set()

    async with backend(slow) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, **ALL})
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(hold())
            async with world.ask("PUT", data=chunks()) as got:
                assert await got.json() == {"size": total}


async def test_a_torn_upload_is_never_repeated() -> None:
    calls = 0

    async def dies(request: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        await request.content.readany()
        assert request.transport
        request.transport.close()
        return web.Response()

    async with backend(dies) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there, **ALL})
        async with world.ask("PUT", data=b"z" * 1000) as got:
            assert got.status == 502
    assert calls == 1


async def test_a_consumer_that_leaves_ends_the_call_of_a_silent_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_LOOK_S", 0.02)
    called, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        called.set()
        assert await reader.read() == b""  # until the proxy hangs up
        left.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, running(idle_s=30) as world:
        port = server.sockets[0].getsockname()[1]
        await world.open({"type": "HttpData", "baseUrl": f"http://127.0.0.1:{port}"})

        async def leave() -> None:
            async with world.ask():
                pass

        consumer = asyncio.create_task(leave())
        async with asyncio.timeout(5):
            await called.wait()
            consumer.cancel()
            await left.wait()


async def test_a_consumer_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_LOOK_S", 0.02)
    monkeypatch.setattr(delivery, "STALL_S", 0.1)
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(4096):
                await response.write(b"x" * 65536)
        finally:
            ended.set()
        return response

    async with backend(endless) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        got = await world.ask()
        async with asyncio.timeout(5):
            await ended.wait()  # though nobody has read a byte
        with pytest.raises((ClientError, ConnectionError)):
            await got.read()


async def test_the_same_connection_serves_many_requests() -> None:
    peers: set[Any] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=b"x" * 200_000)

    async with backend(note) as there, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        for _ in range(5):
            async with world.ask() as got:
                assert len(await got.read()) == 200_000
    assert len(peers) == 1


class TokenEndpoint:
    """An OAuth2 server that counts what it gives, and the backend that wants it."""

    def __init__(self, expires_in: object = 300, status: int = 200) -> None:
        self.given = 0
        self.expires_in = expires_in
        self.status = status
        self.forms: list[dict[str, str]] = []
        self.refused: set[str] = set()

    async def __call__(self, request: web.Request) -> web.Response:
        if request.path != "/token":
            if request.headers["Authorization"] in self.refused:
                return web.Response(status=401)
            return web.Response(text=request.headers["Authorization"])
        self.forms.append({key: str(value) for key, value in (await request.post()).items()})
        self.given += 1
        body = {"access_token": f"t{self.given}", "expires_in": self.expires_in}
        return web.json_response(body, status=self.status)


async def opened(world: World, there: str) -> None:
    await world.secret("client-secret", "s3cret")
    client = {"oauth2:tokenUrl": f"{there}/token", "oauth2:clientId": "us", "oauth2:clientSecretKey": "client-secret"}
    await world.open({"type": "HttpData", "baseUrl": f"{there}/data", **client, "oauth2:scope": "read"})


async def test_a_backend_token_is_fetched_once_for_many_requests() -> None:
    endpoint = TokenEndpoint()
    async with backend(endpoint) as there, running() as world:
        await opened(world, there)

        async def one() -> str:
            async with world.ask() as got:
                return str(await got.text())

        assert set(await asyncio.gather(*(one() for _ in range(8)))) == {"Bearer t1"}
        assert await one() == "Bearer t1"
    assert endpoint.given == 1
    form = {"grant_type": "client_credentials", "client_id": "us", "client_secret": "s3cret", "scope": "read"}
    assert endpoint.forms == [form]


async def test_a_refused_or_short_lived_backend_token_is_fetched_anew() -> None:
    endpoint = TokenEndpoint()
    endpoint.refused.add("Bearer t1")
    async with backend(endpoint) as there, running() as world:
        await opened(world, there)
        for status in (401, 200):
            async with world.ask() as got:
                assert got.status == status
    endpoint = TokenEndpoint(expires_in=None)
    async with backend(endpoint) as there, running() as world:
        await opened(world, there)
        for token in ("Bearer t1", "Bearer t2"):
            async with world.ask() as got:
                assert await got.text() == token


async def test_a_token_endpoint_that_refuses_is_a_502() -> None:
    async with backend(TokenEndpoint(status=400)) as there, running() as world:
        await opened(world, there)
        async with world.ask() as got:
            assert got.status == 502
            assert "s3cret" not in await got.text()
