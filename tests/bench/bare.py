"""The least that two processes can do with aiohttp: what the connector is compared with, and its data source.

`python tests/bench/bare.py [UPSTREAM]` prints its port and ends when its standard input does.

    POST /post         reads the body, answers a few bytes
    GET /bytes/N       N bytes
    GET /proxy/N       the same, fetched from UPSTREAM/bytes/N
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import uvloop
from aiohttp import web

HOST: Final = "127.0.0.1"
PIECE: Final = bytes(256 << 10)
STOP_S: Final = 10.0


async def _post(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=b"{}", content_type="application/json")


async def _bytes(request: web.Request) -> web.StreamResponse:
    size = int(request.match_info["size"])
    if size <= len(PIECE):
        return web.Response(body=PIECE[:size])
    answer = web.StreamResponse(headers={"Content-Length": str(size)})
    await answer.prepare(request)
    while size:
        piece = PIECE[:size]
        await answer.write(piece)
        size -= len(piece)
    return answer


def _proxy(session: aiohttp.ClientSession, upstream: str) -> web.RouteDef:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with session.get(f"{upstream}/bytes/{request.match_info['size']}") as source:
            answer = web.StreamResponse(headers={"Content-Length": source.headers["Content-Length"]})
            await answer.prepare(request)
            async for piece in source.content.iter_any():
                await answer.write(piece)
            return answer

    return web.get(r"/proxy/{size:\d+}", handler)


async def _serve(upstream: str) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        app = web.Application()
        app.add_routes([web.post("/post", _post), web.get(r"/bytes/{size:\d+}", _bytes), _proxy(session, upstream)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


@contextmanager
def bare(upstream: str = "") -> Iterator[str]:
    """Such a process; the URL of its root."""
    command = [sys.executable, str(Path(__file__).resolve()), upstream]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        try:
            assert process.stdout is not None
            yield f"http://{HOST}:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.wait(STOP_S)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
