"""A maker signs with a new key: what its readers have and get stays proven, and what a replaced file costs is said."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from connector.client import Client, For, template
from connector.config import parse
from connector.demo_data import passports
from connector.identity.did import keys_in
from connector.identity.former_keys import former_file, rotate_node_key
from connector.passport.report import Bundle, verify
from connector.protocol.errors import Invalid
from connector.sandbox.ports import HOST, Ports
from connector.wiring import KEY_FILE, start
from tests.integration.passport_world import BPNS, KEY, MAKER, OEM

REPLACED = "the signing key was replaced"


@dataclass
class World:
    """A maker that is stopped and started, and a reader that runs all the time."""

    folder: Path
    ports: dict[str, int]

    def did(self, name: str) -> str:
        return f"did:web:{HOST}%3A{self.ports[name]}"

    @property
    def key(self) -> Path:
        return self.folder / MAKER / KEY_FILE

    @asynccontextmanager
    async def running(self, name: str) -> AsyncIterator[Client]:
        settings = {
            "node": {
                "did": self.did(name),
                "bpn": BPNS[name],
                "data": str(self.folder / name),
                "development": True,
            },
            "public": {"url": f"http://{HOST}:{self.ports[name]}", "host": HOST, "port": self.ports[name]},
            "management": {"host": HOST, "port": 0, "key": "env:KEY"},
            "directory": {BPNS[other]: self.did(other) for other in self.ports},
        }
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(start(parse(settings, {"KEY": KEY})))
            yield await stack.enter_async_context(Client(f"{running.management.url}/management", KEY))

    async def fetched(self, reader: Client) -> dict[str, Any]:
        maker = await reader.passports.locate(self.did(MAKER))
        return await reader.passports.fetch(
            maker, passports()[0]["identification"]["identification"]["serial"][1]["value"]
        )

    async def document(self) -> dict[str, Any]:
        """The maker's DID document, as anybody gets it."""
        async with ClientSession() as session:
            url = f"http://{HOST}:{self.ports[MAKER]}/.well-known/did.json"
            async with session.get(url) as answer:
                doc: dict[str, Any] = await answer.json(content_type=None)
                return doc


@pytest.fixture
def world(tmp_path: Path) -> World:
    with Ports() as ports:
        taken = {name: ports.take() for name in (MAKER, OEM)}
        ports.hand_over()
    return World(tmp_path, taken)


async def published(maker: Client) -> None:
    policy = template("by-bpn", [BPNS[OEM]])
    await maker.passports.publish(passports()[0], [For("partner", "cx.circular.dpp:1", policy, policy)])


async def test_what_was_signed_before_a_new_key_is_proven_after_it(world: World) -> None:
    async with world.running(OEM) as reader:
        async with world.running(MAKER) as maker:
            await published(maker)
            before = await world.fetched(reader)
        new = rotate_node_key(world.key, world.did(MAKER))
        with capture_logs() as log:
            async with world.running(MAKER):
                after = await world.fetched(reader)
                document = await world.document()
        assert not [line for line in log if line["event"].startswith(REPLACED)]
        assert before["ok"]
        assert after["ok"]
    former = new.former[0].kid
    assert [method["id"] for method in document["verificationMethod"]] == [new.current.kid, former]
    for got, signer in ((before, former), (after, new.current.kid)):
        kept = Bundle.parse(got["bundle"])
        report = verify(kept, keys_in(document))
        assert report.ok, report
        assert former in report.checks["credential"].detail, "the passport was signed once, before"
        assert signer in report.checks["aspect"].detail, "what is shown of it is signed when it is shown"


async def test_a_replaced_key_file_is_told_of_once_and_what_it_said_mends_it(world: World) -> None:
    async with world.running(OEM) as reader:
        async with world.running(MAKER) as maker:
            await published(maker)
        kept = shutil.copy(world.key, world.folder / "kept.pem")
        world.key.unlink()
        with capture_logs() as log:
            async with world.running(MAKER):
                assert not (await world.fetched(reader))["ok"]
        (told,) = [line for line in log if line["event"].startswith(REPLACED)]
        assert told["log_level"] == "warning"
        shutil.copy(kept, world.key)
        new = rotate_node_key(world.key, world.did(MAKER))
        assert [key.kid for key in new.former] == [told["former"]]
        async with world.running(MAKER):
            assert (await world.fetched(reader))["ok"]


async def test_a_spoilt_file_of_former_keys_is_named_instead_of_a_start(world: World) -> None:
    world.key.parent.mkdir(parents=True)
    former_file(world.key).write_text("{")
    with pytest.raises(Invalid, match=r"signing-key\.former\.json"):
        async with world.running(MAKER):
            pass
