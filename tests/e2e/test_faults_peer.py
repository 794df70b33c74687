"""A peer that is away, slow, half there or talks nonsense costs attempts and nothing else: messages still arrive."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.faults_world import Behaviour, Pair, pair, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 0.25
"""For one attempt, in place of ten seconds."""


def says(*parts: bytes, hear: bool = True, stay: bool = False) -> Behaviour:
    """Read the head of a request (or nothing), send these bytes, and close, or stay silent."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if hear:
            await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        if stay:
            await asyncio.Event().wait()

    return behave


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One byte of an answer at a time, for ever: something comes all the time."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """More than anybody can hold."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


OK = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close\r\n"
TROUBLES = {
    "hangs up at once": says(hear=False),
    "hangs up when asked": says(),
    "says nothing": says(stay=True),
    "does not even read": says(hear=False, stay=True),
    "stops in the status line": says(b"HTTP/1.", stay=True),
    "stops in the head": says(b"HTTP/1.1 201 Created\r\nContent-Le", stay=True),
    "breaks off in the head": says(b"HTTP/1.1 201 Created\r\nContent-Le"),
    "stops in the body": says(OK + b'Content-Length: 90\r\n\r\n{"@type": "Contract', stay=True),
    "breaks off in the body": says(OK + b'Content-Length: 90\r\n\r\n{"@type": "Contract'),
    "drips": drips,
    "never ends": endless,
    "is no HTTP": says(b"\x00\xff\x16\x03 220 smtp.example ESMTP\r\n" * 20),
    "has no end of its head": says(b"HTTP/1.1 200 OK\r\n" + b"X-Y: z\r\n" * 100_000, stay=True),
    "has a huge field": says(b"HTTP/1.1 200 OK\r\nX-Y: " + b"z" * 1_000_000 + b"\r\n\r\n", stay=True),
    "answers without JSON": says(OK + b"Content-Length: 6\r\n\r\n<html>"),
    "answers with other JSON": says(OK + b"Content-Length: 2\r\n\r\n[]"),
    "answers with no body": says(OK + b"Content-Length: 0\r\n\r\n"),
    "answers with a broken number": says(OK + b"Content-Length: -1\r\n\r\n{}"),
    "answers with broken gzip": says(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\x00"),
    "is overloaded": says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    "asks for patience": says(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    "fails": says(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops"),
    "has a bad gateway": says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connector.exchange.delivery.SEND_TIMEOUT_S", PATIENCE_S)
        async with pair(tmp_path_factory.mktemp("peer")) as both:
            yield both


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
async def test_what_was_promised_waits_and_arrives_when_the_peer_is_well(nodes: Pair, trouble: Behaviour) -> None:
    again = await nodes.counted("oem", "connector_delivery_seconds_count", outcome="again")
    await nodes.line.fail(trouble)
    negotiation = await nodes.negotiate()
    async with nodes.client("oem") as oem:

        async def tried() -> bool:
            return await nodes.counted("oem", "connector_delivery_seconds_count", outcome="again") > again

        await until(tried)  # an attempt is counted after its outcome has been stored
        (waits,) = (await oem.negotiations.timeline(negotiation)).undelivered
        assert waits.startswith("REQUEST: ")
        assert await nodes.counted("oem", "connector_outbox_messages") == 1
    assert await nodes.down("oem") == set()  # a peer that is not well does not make us ill
    await nodes.line.heal()
    await nodes.final(negotiation)
    assert await nodes.counted("oem", "connector_outbox_messages") == 0


async def test_a_black_hole_does_not_hold_up_others(nodes: Pair) -> None:
    """Sixty-four slots, and a hundred messages to somebody who never answers."""
    fallen: list[asyncio.StreamWriter] = []

    async def hole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fallen.append(writer)
        await reader.read()  # for as long as anybody is there

    async with asyncio.TaskGroup() as group:
        server = await asyncio.start_server(hole, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with nodes.client("oem") as oem:
            assert nodes.offer is not None
            away = type(nodes.provider)("did:web:away.example", f"http://127.0.0.1:{port}/2025-1")
            for _ in range(100):
                group.create_task(oem.negotiations.start(away, nodes.offer))
            await nodes.exchange()
    assert await nodes.counted("oem", "connector_outbox_messages") >= 100
    assert await nodes.down("oem") == set()
    server.close()
    for writer in fallen:
        writer.transport.abort()
    await server.wait_closed()
