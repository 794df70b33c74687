"""Validation at serving: what an asset's own source answers is judged by the aspect model, over real connections."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from connector.dataplane import checked as module
from connector.dataplane.backend import Backends
from connector.dataplane.checked import CheckedSource
from connector.dataplane.files import FileSource
from connector.dataplane.proxy import HttpSource
from connector.demo_data import FOOTPRINT_SEMANTIC_ID, footprint
from connector.exchange.records import SEMANTIC_ID, VALIDATION, Asset
from connector.protocol.errors import Invalid
from connector.semantics.validation import validate
from tests.unit.dataplane_world import ASSET, World, backend, running
from tests.unit.identity_world import NOW

GOOD = json.dumps(footprint()).encode()
BAD = json.dumps({**footprint(), "comment": ["a secret"]}).encode()


class Judge:
    """Counts how often a payload is judged."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, semantic_id: str, payload: object) -> None:
        self.calls += 1
        validate(semantic_id, payload)


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
async def world(tmp_path: Path, judge: Judge) -> AsyncIterator[World]:
    for name, content in (("good.json", GOOD), ("bad.json", BAD), ("broken.json", b"{"), ("good.txt", GOOD)):
        (tmp_path / name).write_bytes(content)
    backends = Backends()
    sources = {
        "File": CheckedSource(FileSource(tmp_path), judge),
        "HttpData": CheckedSource(HttpSource(backends, "https://p.example/public"), judge),
    }
    async with running(sources) as it:
        yield it
    await backends.close()


async def offer(
    world: World, address: Mapping[str, str], validation: str | None, semantic_id: str | None = FOOTPRINT_SEMANTIC_ID
) -> None:
    await world.open(address)
    properties = {SEMANTIC_ID: semantic_id} if semantic_id else {}
    private = {VALIDATION: validation} if validation else {}
    await world.put("assets", Asset(ASSET, NOW, properties, private, address), "asset.updated")


def file(name: str) -> dict[str, str]:
    return {"type": "File", "path": name}


async def pulled(world: World, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    async with world.ask(headers=headers or {}) as answer:
        return answer.status, await answer.read()


@pytest.mark.parametrize("validation", ["block", "warn", "off", None])
async def test_data_that_fits_is_served_under_every_rule(world: World, validation: str | None) -> None:
    await offer(world, file("good.json"), validation)
    assert await pulled(world) == (200, GOOD)


@pytest.mark.parametrize("name", ["bad.json", "broken.json", "good.txt"])
async def test_block_keeps_back_what_does_not_fit_or_cannot_be_judged(world: World, name: str) -> None:
    await offer(world, file(name), "block")
    with capture_logs() as logs:
        status, body = await pulled(world)
    assert status == 500
    assert b"secret" not in body
    (entry,) = [entry for entry in logs if entry["event"] == "data refused"]
    assert entry["asset"] == ASSET


async def test_warn_serves_it_and_tells_the_operator_once(world: World) -> None:
    await offer(world, file("bad.json"), None)
    with capture_logs() as logs:
        assert await pulled(world) == (200, BAD)
        assert await pulled(world) == (200, BAD)
    (entry,) = [entry for entry in logs if entry["event"] == "data does not fit"]
    assert entry["reason"].startswith(f"the payload does not fit {FOOTPRINT_SEMANTIC_ID}")
    assert entry["reason"].endswith("(at /comment)")
    assert "secret" not in entry["reason"]


@pytest.mark.parametrize(("validation", "semantic_id"), [("off", FOOTPRINT_SEMANTIC_ID), ("block", None)])
async def test_nothing_is_judged_when_it_is_off_or_no_model_is_named(
    world: World, judge: Judge, validation: str, semantic_id: str | None
) -> None:
    await offer(world, file("bad.json"), validation, semantic_id)
    assert await pulled(world) == (200, BAD)
    assert judge.calls == 0


@pytest.mark.parametrize("validation", ["block", "warn"])
async def test_unchanged_data_is_judged_once_and_changed_data_anew(
    world: World, judge: Judge, tmp_path: Path, validation: str
) -> None:
    await offer(world, file("good.json"), validation)
    for _ in range(3):
        assert (await pulled(world))[0] == 200
    assert judge.calls == 1
    (tmp_path / "good.json").write_bytes(BAD)
    assert (await pulled(world))[0] == (500 if validation == "block" else 200)
    assert judge.calls == 2


async def test_model_that_nobody_knows_blocks_or_warns(world: World) -> None:
    await offer(world, file("good.json"), "block", "urn:samm:org.example:1.0.0#Unknown")
    assert (await pulled(world))[0] == 500
    await offer(world, file("good.json"), "warn", "urn:samm:org.example:1.0.0#Unknown")
    assert await pulled(world) == (200, GOOD)


async def test_a_part_is_not_served_where_only_the_whole_can_be_judged(world: World) -> None:
    await offer(world, file("good.json"), "block")
    assert await pulled(world, headers={"Range": "bytes=0-9"}) == (200, GOOD)
    await offer(world, file("good.json"), "warn")
    assert await pulled(world, headers={"Range": "bytes=0-9"}) == (206, GOOD[:10])


async def test_unchanged_answer_and_head_pass(world: World) -> None:
    await offer(world, file("good.json"), "block")
    async with world.ask("HEAD") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(GOOD)))
        etag = answer.headers["ETag"]
    assert await pulled(world, headers={"If-None-Match": etag}) == (304, b"")


async def test_data_that_is_too_long_to_judge(world: World, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_JUDGED", len(GOOD) - 1)
    await offer(world, file("good.json"), "block")
    assert (await pulled(world))[0] == 500
    await offer(world, file("good.json"), "warn")
    assert await pulled(world) == (200, GOOD)
    assert judge.calls == 0


@pytest.mark.parametrize(("padding", "status"), [(0, 200), (200_000, 200)])
async def test_backend_is_asked_for_all_of_it_unpacked(world: World, padding: int, status: int) -> None:
    asked: list[web.Request] = []
    body = json.dumps({**footprint(), "comment": "x" * padding}).encode()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.Response(body=body, content_type="application/vnd.example+json")

    async with backend(answer) as url:
        await offer(world, {"type": "HttpData", "baseUrl": url}, "block")
        assert await pulled(world, headers={"Accept-Encoding": "gzip", "Range": "bytes=0-9"}) == (status, body)
    assert asked[0].headers["Accept-Encoding"] == "identity"
    assert "Range" not in asked[0].headers


@pytest.mark.parametrize("validation", ["block", "warn"])
async def test_packed_answer_cannot_be_judged(world: World, judge: Judge, validation: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=gzip.compress(BAD), headers=headers)

    async with backend(answer) as url:
        await offer(world, {"type": "HttpData", "baseUrl": url}, validation)
        status, body = await pulled(world)
    assert judge.calls == 0
    assert (status, gzip.decompress(body) if status == 200 else b"") == (
        (200, BAD) if validation == "warn" else (500, b"")
    )


@pytest.mark.parametrize(("status", "expected"), [(404, 404), (503, 503), (201, 500), (204, 204)])
async def test_errors_of_the_backend_pass_and_other_successes_do_not(world: World, status: int, expected: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"an": "answer"}, status=status) if status != 204 else web.Response(status=204)

    async with backend(answer) as url:
        await offer(world, {"type": "HttpData", "baseUrl": url}, "block")
        assert (await pulled(world))[0] == expected


async def test_other_methods_are_not_described_by_the_model(world: World, judge: Judge) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"found": 0})

    async with backend(answer) as url:
        await offer(world, {"type": "HttpData", "baseUrl": url, "proxyMethod": "true", "proxyBody": "true"}, "block")
        async with world.ask("POST", data=b"{}") as reply:
            assert reply.status == 200
    assert judge.calls == 0


def test_a_word_that_is_no_rule_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="validation must be one of block, warn, off") as refusal:
        _ = Asset(ASSET, NOW, {}, {VALIDATION: "sometimes"}, {}).validation
    assert refusal.value.pointer == f"/privateProperties/{VALIDATION}"
