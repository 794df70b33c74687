"""Files, payloads of the passport store, and pushes, over real connections."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connector.dataplane import push
from connector.dataplane.checked import CheckedSource
from connector.dataplane.files import CHUNK, FileSource
from connector.dataplane.payloads import PayloadSource
from connector.exchange.records import SEMANTIC_ID, Asset, Payload
from connector.http.client import Outbound
from connector.http.guard import AddressPolicy
from connector.metrics import Metrics
from connector.metrics.ports import CountedSource
from connector.passport.signature import digest
from connector.protocol.errors import Invalid, Unreachable
from connector.protocol.transfer import State
from tests.unit.dataplane_world import ASSET, BPN, World, backend, running, transfer
from tests.unit.identity_world import NOW

CONTENT = bytes(range(256)) * 4
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
MODEL = "urn:samm:io.catenax.pcf:7.0.0#Pcf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    (base / "sub").mkdir(parents=True)
    (base / "data.json").write_bytes(CONTENT)
    (base / "data.json.gz").write_bytes(b"another file")
    (base / "sub" / "large.bin").write_bytes(b"L" * (3 * CHUNK + 7))
    (tmp_path / "secret").write_bytes(b"secret")
    (base / "out").symlink_to(tmp_path / "secret")
    (base / "away").symlink_to(tmp_path, target_is_directory=True)
    (base / "current").symlink_to(base / "data.json")
    os.mkfifo(base / "pipe")
    return base


@pytest.fixture
async def files(folder: Path) -> AsyncIterator[World]:
    async with running({"File": FileSource(folder)}) as world:
        yield world


async def test_a_file_is_served_with_its_type_size_and_validators(files: World) -> None:
    await files.open({"type": "File", "path": "data.json"})
    async with files.ask(headers={"Accept-Encoding": "gzip"}) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Content-Length"] == "1024"
        assert answer.headers["Accept-Ranges"] == "bytes"
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    for condition in ({"If-None-Match": f'"x", W/{etag}'}, {"If-None-Match": "*"}, {"If-Modified-Since": modified}):
        async with files.ask(headers=condition) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
    async with files.ask(headers={"If-None-Match": '"x"', "If-Modified-Since": modified}) as answer:
        assert answer.status == 200


async def test_a_head_of_a_file_has_no_body(files: World) -> None:
    await files.open({"type": "File", "path": "sub/large.bin", "contentType": "text/x"})
    async with files.ask("HEAD") as answer:
        assert answer.headers["Content-Length"] == str(3 * CHUNK + 7)
        assert answer.headers["Content-Type"] == "text/x"
        assert await answer.read() == b""


async def test_a_large_file_arrives_whole(files: World) -> None:
    await files.open({"type": "File", "path": "sub/large.bin"})
    async with files.ask() as answer:
        assert await answer.read() == b"L" * (3 * CHUNK + 7)


@pytest.mark.parametrize(
    ("asked", "status", "part", "told"),
    [
        ("bytes=0-9", 206, CONTENT[:10], "bytes 0-9/1024"),
        ("bytes=1000-", 206, CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=-24", 206, CONTENT[-24:], "bytes 1000-1023/1024"),
        ("bytes=-5000", 206, CONTENT, "bytes 0-1023/1024"),
        ("bytes=1000-9999", 206, CONTENT[1000:], "bytes 1000-1023/1024"),
        ("bytes=1024-", 416, b"", "bytes */1024"),
        ("bytes=-0", 416, b"", "bytes */1024"),
        ("bytes=9-1", 200, CONTENT, None),
        ("bytes=0-1,4-5", 200, CONTENT, None),
        ("bytes=-", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
    ],
)
async def test_a_range_of_a_file(files: World, asked: str, status: int, part: bytes, told: str | None) -> None:
    await files.open({"type": "File", "path": "data.json"})
    async with files.ask(headers={"Range": asked}) as answer:
        assert (answer.status, await answer.read(), answer.headers.get("Content-Range")) == (status, part, told)


async def test_a_range_of_what_has_changed_brings_the_whole(files: World) -> None:
    await files.open({"type": "File", "path": "data.json"})
    async with files.ask("HEAD") as answer:
        etag = answer.headers["ETag"]
    for condition, status in ((etag, 206), ('"old"', 200)):
        async with files.ask(headers={"Range": "bytes=0-0", "If-Range": condition}) as answer:
            assert answer.status == status


async def test_a_link_inside_the_folder_is_followed(files: World) -> None:
    await files.open({"type": "File", "path": "current"})
    async with files.ask() as answer:
        assert await answer.read() == CONTENT


@pytest.mark.parametrize(
    "path",
    ["../secret", "sub/../../secret", "out", "away/secret", "{outside}", "missing", "sub", "pipe", "a\0b", "", "."],
)
async def test_nothing_outside_the_folder_and_nothing_but_files(files: World, folder: Path, path: str) -> None:
    await files.open({"type": "File", "path": path.format(outside=folder.parent / "secret")})
    async with asyncio.timeout(5), files.ask() as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()


async def test_a_file_ignores_the_consumers_path_and_refuses_to_be_written(files: World) -> None:
    await files.open({"type": "File", "path": "data.json"})
    async with files.ask("GET", "/../secret?x") as answer:
        assert await answer.read() == CONTENT
    async with files.ask("PUT", data=b"x") as answer:
        assert answer.status == 405


def test_the_folder_of_files_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="does not exist"):
        FileSource(tmp_path / "none")


BODY = b'{"id":"urn:uuid:1","pcf":1}'
GOOD = Payload(ASSET, NOW, MODEL, BODY, digest(BODY), "header..signature")


class Model:
    """An aspect model that a payload fits while `fits`."""

    def __init__(self) -> None:
        self.fits = True
        self.asked = 0

    def __call__(self, semantic_id: str, payload: object) -> None:
        self.asked += 1
        assert semantic_id == MODEL
        assert payload == json.loads(BODY)
        if not self.fits:
            raise Invalid("does not fit", "/pcf")


async def publish(world: World, payload: Payload, semantic_id: str = MODEL) -> None:
    await world.payload(payload)
    await world.open({"type": "PassportStore"}, **{SEMANTIC_ID: {"@id": semantic_id}})


async def test_a_payload_leaves_with_everything_that_proves_it() -> None:
    async with running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        async with world.ask() as answer:
            assert (answer.status, await answer.read()) == (200, BODY)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Content-Digest"] == GOOD.digest
            assert answer.headers["Payload-Signature"] == "header..signature"
            assert answer.headers["Payload-Semantic-Id"] == MODEL
            etag = answer.headers["ETag"]
        async with world.ask(headers={"If-None-Match": etag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with world.ask("HEAD") as answer:
            assert (answer.headers["Content-Length"], await answer.read()) == (str(len(BODY)), b"")
        async with world.ask("POST", data=b"x") as answer:
            assert answer.status == 405


async def test_a_payload_is_validated_once_per_digest() -> None:
    model = Model()
    async with running({"PassportStore": PayloadSource(model)}) as world:
        for _ in range(3):
            await publish(world, GOOD)  # drops the memory each time
            async with world.ask() as answer:
                assert answer.status == 200
    assert model.asked == 1


async def refused(world: World) -> None:
    async with world.ask() as answer:
        assert answer.status == 500
        assert b"urn:uuid:1" not in await answer.read()


async def test_a_payload_that_was_tampered_with_does_not_leave() -> None:
    async with running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, Payload(ASSET, NOW, MODEL, BODY.replace(b"1}", b"0}"), GOOD.digest, "s"))
        await refused(world)


async def test_a_payload_that_does_not_fit_its_model_does_not_leave() -> None:
    model = Model()
    model.fits = False
    async with running({"PassportStore": PayloadSource(model)}) as world:
        await publish(world, GOOD)
        await refused(world)


async def test_a_payload_of_another_model_or_none_does_not_leave() -> None:
    async with running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD, "urn:samm:io.catenax.battery.battery_pass:6.0.0#BatteryPass")
        await refused(world)
        await publish(world, GOOD)
        del world.store.rows["payloads"][ASSET]
        await refused(world)


class Inbox:
    """A push destination; `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.got.append((request.method, request.raw_path, headers, await request.read()))
        return web.Response(status=self.status)


async def pushed(world: World, destination: dict[str, str], **changes: Any) -> None:
    record = transfer(destination=destination, **changes)
    await world.put("transfers", record, "transfer.process.started")
    await world.plane.push(record, world.store.rows["assets"][ASSET], BPN, headers={"traceparent": TRACE})


async def test_a_push_delivers_a_backends_data_and_nothing_else_of_it() -> None:
    large = os.urandom(1 << 20)

    async def data(_: web.Request) -> web.Response:
        return web.Response(
            body=large, headers={"Content-Type": "application/x", "X-Internal": "no", "Set-Cookie": "a=b"}
        )

    inbox = Inbox(204)
    async with backend(data) as there, backend(inbox) as destination, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        address = {"type": "HttpData", "baseUrl": f"{destination}/in", "authKey": "X-Api-Key", "authCode": "theirs"}
        await pushed(world, address)
    [(method, target, headers, body)] = inbox.got
    assert (method, target) == ("POST", "/in")
    assert hashlib.sha256(body).digest() == hashlib.sha256(large).digest()
    assert (headers["content-type"], headers["content-length"]) == ("application/x", str(1 << 20))
    assert headers["x-api-key"] == "theirs"
    assert headers["traceparent"] == TRACE
    assert {"x-internal", "set-cookie", "cookie", "edc-bpn", "authorization"}.isdisjoint(headers)


async def test_a_push_of_a_payload_carries_its_proofs() -> None:
    inbox = Inbox()
    async with backend(inbox) as destination, running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        edc = "https://w3id.org/edc/v0.0.1/ns/"
        address = {f"{edc}endpoint": destination, "authorization": "their token", f"{edc}method": "put", "path": "/a/b"}
        await pushed(world, address)
    [(method, target, headers, body)] = inbox.got
    assert (method, target, body) == ("PUT", "/a/b", BODY)
    assert headers["authorization"] == "their token"
    assert headers["payload-signature"] == GOOD.signature


@pytest.mark.parametrize("status", [302, 401, 500])
async def test_a_push_that_is_refused_says_so(status: int) -> None:
    inbox = Inbox(status)
    async with backend(inbox) as destination, running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        with pytest.raises(Unreachable, match=str(status)):
            await pushed(world, {"baseUrl": destination})


async def test_a_failing_source_is_not_pushed() -> None:
    async def missing(_: web.Request) -> web.Response:
        return web.Response(status=404, text="no such thing")

    inbox = Inbox()
    async with backend(missing) as there, backend(inbox) as destination, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        with pytest.raises(Unreachable, match="404"):
            await pushed(world, {"baseUrl": destination})
    assert inbox.got == []


@pytest.mark.parametrize("destination", ["http://127.0.0.1:1/", "http://169.254.169.254/latest", "file:///etc/passwd"])
async def test_a_push_goes_only_where_strangers_may_send_us(destination: str) -> None:
    async with running({"PassportStore": PayloadSource(Model())}) as world, Outbound(AddressPolicy()) as strict:
        world.plane._outbound = strict  # noqa: SLF001 - production's policy instead of the tests'
        await publish(world, GOOD)
        with pytest.raises(Unreachable, match="refused"):
            await pushed(world, {"baseUrl": destination})


@pytest.mark.parametrize(
    "address",
    [
        {},
        {"baseUrl": "http://x", "method": "DELETE"},
        {"baseUrl": "http://x", "header:Host": "y"},
        {"baseUrl": "http://x", "authKey": "X", "authCode": "a\r\nb"},
    ],
)
async def test_an_impossible_destination_is_refused(address: dict[str, str]) -> None:
    async with running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        with pytest.raises(Invalid):
            await pushed(world, address)


async def test_a_push_of_an_ended_transfer_or_a_revoked_agreement_does_not_happen() -> None:
    inbox = Inbox()
    async with backend(inbox) as destination, running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        ended = transfer(State.TERMINATED).process
        with pytest.raises(Unreachable, match="not running"):
            await pushed(world, {"baseUrl": destination}, process=ended)
        world.store.rows["agreements"].clear()
        with pytest.raises(Unreachable, match="agreement"):
            await pushed(world, {"baseUrl": destination})
    assert inbox.got == []


async def test_a_destination_that_answers_byte_by_byte_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PATIENCE_S", 0.2)
    dripped = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not reader.at_eof():
                writer.write(b"y")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1 << 16), 0.02)
        dripped.set()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running({"PassportStore": PayloadSource(Model())}) as world:
        await publish(world, GOOD)
        with pytest.raises(Unreachable, match="took too long"):
            await pushed(world, {"baseUrl": f"http://127.0.0.1:{port}"})
        await dripped.wait()  # the connection is closed


async def test_much_data_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "PATIENCE_S", 0.0)
    async with push.paced() as more:
        more(1 << 30)
        for _ in range(3):
            await asyncio.sleep(0)
    with pytest.raises(Unreachable, match="16 KiB per second"):
        async with push.paced():
            await asyncio.Event().wait()


async def test_a_push_under_way_stops_when_the_transfer_ends() -> None:
    more = asyncio.Event()
    whole: list[bytes] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await more.wait()
        await response.write(b"second")
        return response

    async def inbox(request: web.Request) -> web.Response:
        assert await request.content.readany() == b"first"
        await world.put("transfers", transfer(State.TERMINATED), "transfer.process.terminated")
        more.set()
        whole.append(await request.read())
        return web.Response()

    async with backend(slow) as there, backend(inbox) as destination, running() as world:
        await world.open({"type": "HttpData", "baseUrl": there})
        with pytest.raises(Unreachable):
            await pushed(world, {"baseUrl": destination})
    assert whole == []


@pytest.mark.parametrize(
    ("address", "pointer"),
    [
        ({"type": "HttpData"}, "/dataAddress/baseUrl"),
        ({"type": "HttpData", "baseUrl": "ftp://x.example"}, "/dataAddress/baseUrl"),
        ({"type": "HttpData", "baseUrl": "https://x.example", "proxyPath": "maybe"}, "/dataAddress/proxyPath"),
        ({"type": "File"}, "/dataAddress/path"),
    ],
)
async def test_an_address_is_checked_before_there_is_a_transfer(
    files: World, address: dict[str, str], pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        files.plane.check(Asset("a", 0, data_address=address))
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    "address",
    [{}, {"type": "Kafka"}, {"type": "File", "path": "later.json"}, {"type": "HttpData", "baseUrl": "http://b"}],
)
async def test_an_address_of_another_data_plane_or_of_data_to_come_is_no_fault(
    files: World, address: dict[str, str]
) -> None:
    files.plane.check(Asset("a", 0, data_address=address))


async def test_a_source_that_judges_or_counts_has_the_address_checked_all_the_same(folder: Path) -> None:
    inner = FileSource(folder)
    for source in (CheckedSource(inner, Model()), CountedSource(inner, "File", Metrics())):
        with pytest.raises(Invalid):
            source.check(Asset("a", 0, data_address={"type": "File"}))
