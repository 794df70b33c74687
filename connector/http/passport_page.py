"""The page of a passport, where the data carrier on a battery leads (Regulation (EU) 2023/1542, Art. 77).

It shows the public class and nothing else (`passport_views`), to people as HTML and to programs as JSON, by content
negotiation. The JSON says besides whose passport it is and by what its twin is found, so that a scanned address leads
partners on to what they may see (`exchange.find`).

Whatever stands in a passport is text here: it is escaped, the page has no script, takes none and names no other host.
Who removes the asset takes the page back. Drawing costs a signature and a QR code, so the answers of the newest
versions are kept.

A version that differs in nothing public is the same page, down to its entity tag: whoever looks at it every day must
not learn from a new signature or date that the battery was used, or had an accident.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final
from urllib.parse import quote

import orjson
import structlog
from aiohttp import web

from connector.dataplane.payloads import matches
from connector.dataplane.recent import Recent
from connector.exchange.code import PART, SERIAL
from connector.exchange.node import Node
from connector.exchange.passport_views import newest, view_of
from connector.exchange.passports import Identity
from connector.exchange.ports import Seal
from connector.http.door import Door
from connector.passport.audiences import EVERYBODY
from connector.protocol.errors import Invalid, LocalError, PeerError

PAGE_PATH: Final = "/p"
MAX_AGE_S: Final = 300
KEPT: Final = 16 << 20
"""Bytes of answers that are kept."""
_VERSIONS: Final = 8192
"""Versions of which it is remembered what page they are."""
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "dl{margin:0 0 0 1rem}dt{font-weight:600;margin-top:.4rem}dd{margin:0 0 0 1rem}ol{margin:0}"
    "img{float:right;width:9rem;height:9rem;margin:0 0 1rem 1rem}"
    "footer{margin-top:2rem;color:#555;word-break:break-all}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; img-src 'self'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": f"public, max-age={MAX_AGE_S}",
    "Vary": "Accept",
}
_JSON: Final = "application/json"
_HTML: Final = "text/html"
_SVG: Final = "image/svg+xml"
_INTRODUCTION: Final = (
    "This is the part that is open to everybody. Business partners, repairers, recyclers and authorities find more"
    " through the data space."
)
_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The answers for one public part of a passport: media type and body, by what was asked for."""

    etag: str
    bodies: Mapping[str, bytes]


class PassportPages:
    """The pages of a node; `url` is the address that peers reach it by, without a trailing slash."""

    def __init__(self, node: Node, url: str, door: Door | None = None) -> None:
        self._node = node
        self._url = url
        self._door = door or Door()
        self._drawn: Recent[tuple[str, str], Drawn] = Recent(KEPT)
        self._shown: Recent[str, tuple[str, str]] = Recent(_VERSIONS)

    def routes(self) -> Sequence[web.RouteDef]:
        """The routes, for the root application."""
        return [web.get(f"{PAGE_PATH}/{{id}}", self._page), web.get(f"{PAGE_PATH}/{{id}}/qr.svg", self._code)]

    def address(self, passport_id: str) -> str:
        """Where the page of a passport is: what stands in its QR code."""
        return f"{self._url}{PAGE_PATH}/{quote(passport_id, safe=':')}"

    async def _page(self, request: web.Request) -> web.Response:
        wanted = _HTML if prefers_html(", ".join(request.headers.getall("Accept", ()))) else _JSON
        return _answer(request, await self._of(request), wanted)

    async def _code(self, request: web.Request) -> web.Response:
        return _answer(request, await self._of(request), _SVG)

    async def _of(self, request: web.Request) -> Drawn:
        """What there is to answer. Raise PeerError 404, or Limited."""
        self._door.visitor(request)
        ident = request.match_info["id"]
        version = await self._node.store.read(lambda tx: newest(tx, ident) if tx.assets.find(ident) else None)
        if version is None:
            raise PeerError(404, "there is no passport here")
        shown = self._shown.get(version.id)
        if shown is not None and (drawn := self._drawn.get(shown)) is not None:
            return drawn
        try:
            view = view_of(self._node.notary, version, EVERYBODY)
        except LocalError as fault:
            _log.error("page of a passport refused", passport=ident, reason=str(fault))
            raise LocalError("this passport does not pass its own checks, so it is not shown") from fault
        shown = ident, view.seal.digest
        if (drawn := self._drawn.get(shown)) is None:
            drawn = self._draw(ident, view.seal)
            self._drawn.put(shown, drawn, sum(map(len, drawn.bodies.values())))
        self._shown.put(version.id, shown)
        return drawn

    def _draw(self, ident: str, seal: Seal) -> Drawn:
        passport: dict[str, Any] = orjson.loads(seal.body)
        address = self.address(ident)
        doc = {
            "passportId": ident,
            "provider": self._node.id,
            "address": address,
            "assetLinks": asset_links(passport),
            "digest": seal.digest,
            "passport": passport,
        }
        html = page(ident, self._node.id, f"{address}/qr.svg".removeprefix(self._url), passport)
        said = orjson.dumps(doc), html.encode(), qr_code(address)
        etag = hashlib.sha256(b"".join(said)).hexdigest()[:32]  # without the signature, which differs each time
        return Drawn(etag, {_JSON: orjson.dumps(doc | {"signature": seal.signature}), _HTML: said[1], _SVG: said[2]})


def _answer(request: web.Request, drawn: Drawn, kind: str) -> web.Response:
    etag = f'"{drawn.etag}-{kind.rpartition("/")[2][:4]}"'
    headers = {**_HEADERS, "ETag": f"W/{etag}"}
    if matches(request.headers.get("If-None-Match", ""), etag):
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if kind == _HTML else None
    return web.Response(body=drawn.bodies[kind], content_type=kind, charset=charset, headers=headers)


def prefers_html(accepted: str) -> bool:
    """Tell whether an Accept header (RFC 9110, 12.5.1) names HTML, and no JSON that it likes better."""
    weights = {_HTML: 0.0, _JSON: 0.0}
    for part in accepted.split(",")[:32]:
        kind, _, parameters = part.strip().lower().partition(";")
        kind = {"application/xhtml+xml": _HTML}.get(kind.strip(), kind.strip())
        quality = re.search(r"(?:^|;)\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", parameters)
        if kind in weights:
            weights[kind] = max(weights[kind], float(quality[1]) if quality else 1.0)
    return weights[_HTML] > 0 and weights[_HTML] >= weights[_JSON]


def asset_links(passport: Mapping[str, Any]) -> list[dict[str, str]]:
    """By what the twin is found, as far as the public part of a passport says it."""
    try:
        named = Identity.of(passport)
    except (KeyError, TypeError, Invalid):
        return []
    return [{"name": PART, "value": named.model}, {"name": SERIAL, "value": named.serial}]


def qr_code(address: str) -> bytes:
    """The QR code of an address, as SVG."""
    import segno  # noqa: PLC0415 - only nodes with pages draw

    out = io.BytesIO()
    segno.make_qr(address, error="m").save(out, kind="svg", border=4, scale=4, xmldecl=False, nl=False)
    return out.getvalue()


def page(ident: str, provider: str, code: str, passport: Mapping[str, Any]) -> str:
    """The page for people."""
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Battery passport {escape(ident)}</title><style>{_STYLE}</style></head><body>",
            f'<img src="{escape(code)}" alt="QR code with the address of this page">',
            f"<h1>Battery passport</h1><p>{_INTRODUCTION}</p><main>",
            _shown(passport),
            f"</main><footer>{escape(ident)}<br>{escape(provider)}</footer></body></html>",
        )
    )


def _shown(value: object) -> str:
    """A value as HTML; every text in it is escaped."""
    if isinstance(value, Mapping):
        rows = (f"<dt>{escape(_title(name))}</dt><dd>{_shown(inner)}</dd>" for name, inner in value.items())
        return f"<dl>{''.join(rows)}</dl>"
    if isinstance(value, list):
        return f"<ol>{''.join(f'<li>{_shown(inner)}</li>' for inner in value)}</ol>"
    return escape(value if isinstance(value, str) else json.dumps(value))


def _title(name: str) -> str:
    """A member's name for people: `carbonFootprint` is "carbon footprint"."""
    return _WORDS.sub(" ", name).lower() if name.isidentifier() else name
