"""The page of a passport over HTTP: the public class and nothing else, for people and programs, and the way on."""

import json
import re
from collections.abc import AsyncIterator
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDictProxy
from typing_extensions import override

from connector.client import ApiError
from connector.demo_data import passports
from connector.http.door import Door
from connector.http.limits import Allowed, Limited
from connector.http.passport_page import prefers_html, qr_code
from connector.http.server import serve
from connector.passport.disclosure import PUBLIC, class_map
from tests.integration.passport_world import MAKER, OEM, RECYCLER, STRANGER, World, world

PASSPORT = deepcopy(passports()[0])
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"
PASSPORT["identification"]["chemistry"] = EVIL
IDENT = PASSPORT["metadata"]["passportIdentifier"]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, MAKER, OEM, RECYCLER, "authority", STRANGER) as made:
        await made[MAKER].client.passports.publish(PASSPORT, made.offers)
        yield made


def address(nodes: World, ident: str = IDENT) -> str:
    return f"{nodes[MAKER].running.public.url}/p/{ident}"


Answer = tuple[int, CIMultiDictProxy[str], str]


async def get(url: str, **headers: str) -> Answer:
    async with (
        ClientSession() as session,
        session.get(url, headers={k.replace("_", "-"): v for k, v in headers.items()}) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


class Text(HTMLParser):
    """The elements, their attributes and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.words = ""
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    @override
    def handle_data(self, data: str) -> None:
        self.words += data


def texts(value: object) -> set[str]:
    if isinstance(value, dict):
        return set().union(*map(texts, value.values()))
    if isinstance(value, list):
        return set().union(*map(texts, value))
    return {value} if isinstance(value, str) else set()


async def test_programs_get_the_public_class_and_nothing_else(nodes: World) -> None:
    status, headers, body = await get(address(nodes))
    doc: dict[str, Any] = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert doc["passport"] == class_map().project(PASSPORT, {PUBLIC})
    assert (doc["passportId"], doc["provider"], doc["address"]) == (IDENT, nodes[MAKER].did, address(nodes))
    assert "composition" not in doc["passport"]["materials"]


async def test_people_get_the_same_as_a_page_in_which_everything_is_text(nodes: World) -> None:
    status, headers, html = await get(address(nodes), Accept=BROWSER)
    page = Text(html)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert EVIL in page.words
    assert page.elements <= {
        *("html", "head", "meta", "title", "style", "body", "img", "h1", "p", "main", "dl", "dt", "dd", "ol", "li"),
        *("footer", "br"),
    }
    assert page.attributes.keys() <= {"lang", "charset", "name", "content", "src", "alt"}
    assert page.attributes["src"] == {f"/p/{IDENT}/qr.svg"}
    shown = class_map().project(PASSPORT, {PUBLIC})
    assert all(text in page.words for text in texts(shown))
    secret = texts(PASSPORT) - texts(shown)
    assert secret
    assert not [text for text in secret if len(text) > 8 and text in html and text not in texts(shown)]


async def test_a_page_is_closed_to_scripts_other_hosts_and_frames_and_may_be_kept_for_minutes(nodes: World) -> None:
    _, headers, _ = await get(address(nodes), Accept=BROWSER)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy.keys() == {"default-src", "img-src", "style-src", "base-uri", "form-action", "frame-ancestors"}
    assert {policy[name] for name in policy.keys() - {"img-src", "style-src"}} == {"'none'"}
    assert policy["img-src"] == "'self'"
    assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy["style-src"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "public, max-age=300"
    assert headers["Vary"] == "Accept"
    assert "Server" not in headers
    status, _, body = await get(address(nodes), Accept=BROWSER, If_None_Match=headers["ETag"])
    assert (status, body) == (304, "")
    status, _, _ = await get(address(nodes), If_None_Match=headers["ETag"])  # which is the page's, not the JSON's
    assert status == 200


async def test_a_new_version_is_shown_at_once(nodes: World) -> None:
    before = (await get(address(nodes)))[1]["ETag"]
    changed = deepcopy(PASSPORT)
    changed["identification"]["chemistry"] = "LFP"
    await nodes[MAKER].client.passports.publish(changed, nodes.offers)
    _, headers, body = await get(address(nodes), If_None_Match=before)
    assert json.loads(body)["passport"]["identification"]["chemistry"] == "LFP"
    assert headers["ETag"] != before


async def test_a_version_that_differs_in_nothing_public_is_the_same_page(nodes: World) -> None:
    """Nobody learns from it that the battery was used, not even by its length or entity tag."""
    before = [await get(address(nodes), Accept=kind) for kind in ("text/html", "application/json")]
    changed = deepcopy(PASSPORT)
    changed["performance"]["dynamic"]["stateOfCharge"]["value"] = 1
    assert (await nodes[MAKER].client.passports.publish(changed))["version"] == 2
    after = [await get(address(nodes), Accept=kind) for kind in ("text/html", "application/json")]
    assert [(headers["ETag"], body) for _, headers, body in after] == [(h["ETag"], body) for _, h, body in before]


async def test_a_passport_whose_asset_was_removed_is_not_shown_any_more(nodes: World) -> None:
    assert (await get(address(nodes)))[0] == 200
    await nodes[MAKER].client.assets.remove(IDENT)
    assert (await get(address(nodes)))[0] == 404
    assert (await get(f"{address(nodes)}/qr.svg"))[0] == 404


async def test_what_is_not_there_is_not_found(nodes: World) -> None:
    for ident in ("urn:uuid:0", "%2e%2e", "x" * 600):
        status, headers, body = await get(address(nodes, ident), Accept=BROWSER)
        assert (status, "max-age" in headers.get("Cache-Control", "")) == (404, False)
        assert "x" * 600 not in body


async def test_the_code_on_the_page_leads_a_partner_to_its_own_view(nodes: World) -> None:
    status, headers, svg = await get(f"{address(nodes)}/qr.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert svg.encode() == qr_code(address(nodes))
    found = await nodes[OEM].client.find(address(nodes))
    assert found.provider == nodes[MAKER].did
    assert found.fetched.verified is not None
    assert found.fetched.verified.ok
    assert (found.fetched.model.verdict, found.fetched.model.named_by) == ("valid", "twin")
    assert "composition" in found.fetched.payload["materials"]
    with pytest.raises(ApiError, match="no twin that we may see"):
        await nodes[STRANGER].client.find(address(nodes))


async def test_a_page_that_is_none_or_that_names_somebody_else_leads_nowhere(nodes: World) -> None:
    page = address(nodes).replace(nodes[MAKER].running.public.url, nodes[STRANGER].running.public.url)
    with pytest.raises(ApiError, match="is not the page of a passport"):
        await nodes[OEM].client.find(page)

    async def pretend(_: web.Request) -> web.Response:
        return web.json_response({"provider": nodes[MAKER].did, "assetLinks": [{"name": "van", "value": "1"}]})

    app = web.Application()
    app.add_routes([web.get("/p/1", pretend)])
    listener = await serve(app, "127.0.0.1", 0)
    try:
        with pytest.raises(ApiError, match="has no connector at that address"):
            await nodes[OEM].client.find(f"{listener.url}/p/1")
    finally:
        await listener.close()


def test_an_address_that_asks_too_often_waits() -> None:
    door = Door(Allowed(requests_per_second=1, burst=2), now=lambda: 0.0)
    request = make_mocked_request("GET", "/p/1")
    door.visitor(request)
    door.visitor(request)
    with pytest.raises(Limited):
        door.visitor(request)


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0.9, application/json;q=0.1", True),
        ("*/*", False),
        ("", False),
        ("application/xhtml+xml", True),
        ("text/html;q=nonsense", True),
    ],
)
def test_what_a_client_likes_better_is_what_it_gets(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html
