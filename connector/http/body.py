"""Bodies from strangers: read with a cap on size, time and depth before anything looks at them.

Nothing is trusted about a body: not its declared length (chunked bodies have none), not its unpacked size (a gzip of
4 kB may hold 4 MB), not its pace (slow loris), not its nesting. Both sides use this module: the server for requests
(DSP 2025-1, HTTPS bindings: JSON in every message) and the client for answers.
"""

import asyncio
import re
import zlib
from typing import Final

import orjson
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from connector.protocol.errors import PeerError

MAX_MESSAGE: Final = 1 << 20
MAX_DEPTH: Final = 64
READ_TIMEOUT_S: Final = 15.0

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "utf-16", "utf-16le", "utf-16be"})
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SHAPE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_SHAPE: Final = bytes(set(range(256)) - set(b"[]{}"))


async def read_body(
    request: web.BaseRequest, *, max_bytes: int = MAX_MESSAGE, timeout_s: float = READ_TIMEOUT_S
) -> bytes:
    """Read a request's body, unpacked.

    Expects a server that leaves bodies packed (`server.serve` does). Raises PeerError 400 (broken), 408 (not complete
    within timeout_s), 413 (more than max_bytes, packed or unpacked) or 415 (an encoding other than gzip);
    ConnectionError if the peer went away.
    """
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            return await collect(request.content, request.headers.get("Content-Encoding", ""), max_bytes)
    except TimeoutError as exc:
        raise PeerError(408, f"the body was not complete within {timeout_s:g} s") from exc
    except (HttpProcessingError, web.RequestPayloadError) as exc:  # aiohttp's parsers differ in what they raise
        raise PeerError(400, "the body does not keep to its own length or chunk sizes") from exc


async def read_json(
    request: web.BaseRequest,
    *,
    max_bytes: int = MAX_MESSAGE,
    max_depth: int = MAX_DEPTH,
    timeout_s: float = READ_TIMEOUT_S,
) -> object:
    """Read a request's body as JSON; None if it is empty. The content type is not looked at, its charset is.

    Raises what `read_body` and `parse_json` raise.
    """
    body = await read_body(request, max_bytes=max_bytes, timeout_s=timeout_s)
    return parse_json(body, charset=request.charset or "utf-8", max_depth=max_depth)


def parse_json(body: bytes, *, charset: str = "utf-8", max_depth: int = MAX_DEPTH) -> object:
    """Parse JSON from a stranger; None if there is none. PeerError 400 with line and column, 415 for a charset."""
    if charset.lower() not in _CHARSETS:
        raise PeerError(415, "the charset is not understood: send UTF-8")
    if charset.lower() not in {"utf-8", "utf8"}:
        try:
            body = body.decode(charset).encode()
        except UnicodeError as exc:
            raise PeerError(400, f"the body is not in its declared charset {charset}") from exc
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body.strip():
        return None
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise PeerError(400, f"the body is not JSON: {exc.msg} in line {exc.lineno}, column {exc.colno}") from exc
    if _deeper(body, max_depth):
        raise PeerError(400, f"the JSON is nested deeper than {max_depth} levels")
    return document


def _deeper(document: bytes, levels: int) -> bool:
    """Tell whether valid JSON nests objects and arrays deeper than `levels`.

    Runs after the parser, which has a limit of its own against exhausting the stack: strings are known to end, so the
    search for them is linear. What is left are brackets; each pass takes away the innermost pairs.
    """
    if document.count(b"[") + document.count(b"{") <= levels:
        return False
    shape = _STRING.sub(b"", document).translate(_SHAPE, _NOT_SHAPE)
    for _ in range(levels):
        if not shape:
            break
        shape = shape.replace(b"[]", b"")
    return bool(shape)


async def collect(stream: StreamReader, encoding: str, max_bytes: int) -> bytes:
    """Read a stream to its end, unpacking gzip. PeerError 400 (broken), 413 (over max_bytes), 415 (other encoding)."""
    body = bytearray()
    match encoding.strip().lower():
        case "" | "identity":
            while piece := await stream.readany():
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
        case "gzip" | "x-gzip":
            await _unpack(stream, body, max_bytes)
        case _:
            raise PeerError(415, "the content encoding is not understood: send gzip or none")
    return bytes(body)


async def _unpack(stream: StreamReader, body: bytearray, max_bytes: int) -> None:
    """Unpack one gzip member (RFC 1952). Input counts as well as output: a member's header may be endless."""
    inflate = zlib.decompressobj(wbits=31)
    packed = 0
    while piece := await stream.readany():
        packed += len(piece)
        try:
            body += inflate.decompress(piece, max_bytes - len(body) + 1)
        except zlib.error as exc:
            raise PeerError(400, "the body is not valid gzip") from exc
        if max(len(body), packed) > max_bytes:
            raise _too_large(max_bytes)
        if inflate.unused_data:
            raise PeerError(400, "the gzip body goes on after its end")
    if packed and not inflate.eof:
        raise PeerError(400, "the gzip body is cut off")


def _too_large(max_bytes: int) -> PeerError:
    return PeerError(413, f"the body is larger than {max_bytes} bytes")
