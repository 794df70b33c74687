"""Nodes built from their settings: what is wrong is said and leaves nothing behind, several live in one process."""

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import ClientSession

from connector.config import parse
from connector.exchange.strategy import HOLD, AutomaticTransfer, Decision, Manual, NegotiationView
from connector.metrics.ports import CountedNegotiations, CountedTransfers
from connector.protocol.errors import Invalid, LocalError
from connector.wiring import DATABASE, KEY_FILE, start
from tests.integration.dsp_world import KEY, message, settings, world
from tests.integration.test_http_tls import Authority


async def fault(folder: Path, **sections: Any) -> LocalError:
    """What a node with these settings says instead of starting."""
    with pytest.raises(LocalError) as caught:
        async with start(parse(settings(folder, **sections), {"KEY": KEY})):
            pass
    assert KEY not in str(caught.value)
    return caught.value


# What is wrong


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(data) in (await fault(data)).reason


async def test_a_spoilt_key_file_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("-----BEGIN PRIVATE KEY-----\nnonsense")
    assert KEY_FILE in (await fault(tmp_path)).reason
    assert "nonsense" in (tmp_path / KEY_FILE).read_text()


async def test_a_spoilt_database_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is no database" * 100)
    assert DATABASE in (await fault(tmp_path)).reason
    assert (tmp_path / DATABASE).read_bytes().startswith(b"this is no database")


async def test_postgresql_without_its_driver_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "connector.storage.postgres", None)
    told = await fault(tmp_path, store={"url": "postgresql:///node"})
    assert "pip install" in told.reason
    assert told.pointer == "/store/url"


async def test_a_database_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be reached" in (await fault(tmp_path, store={"url": f"postgresql:///node?host={tmp_path}"})).reason


async def test_a_database_serves_replicas_of_one_node(tmp_path: Path, database: str) -> None:
    store = {"url": database}
    async with start(parse(settings(tmp_path / "a", store=store), {"KEY": KEY})):
        told = (await fault(tmp_path / "b", store=store)).reason
        assert "signs with the key" in told
        assert "the same key file (node.key)" in told
        same = {"did": "provider", "data": str(tmp_path / "b"), "key": str(tmp_path / "a" / KEY_FILE)}
        stranger = {"node": same | {"did": "somebody-else"}, "store": store}
        assert "belongs to the node" in (await fault(tmp_path / "b", **stranger)).reason
        async with start(parse(settings(tmp_path / "b", store=store, node=same), {"KEY": KEY})):
            pass
    assert not (tmp_path / "a" / DATABASE).exists()


async def test_a_folder_serves_one_node_at_a_time(tmp_path: Path) -> None:
    async with world(tmp_path):
        assert "in use by process" in (await fault(tmp_path)).reason
    async with world(tmp_path):
        pass


@pytest.mark.parametrize("section", ["public", "management"])
async def test_a_taken_port_is_named_and_nothing_is_left_behind(tmp_path: Path, section: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in (await fault(tmp_path, **{section: {"port": port}})).reason
    before = asyncio.all_tasks()
    async with world(tmp_path, **{section: {"port": port}}):  # neither the lock nor the other port is held
        pass
    assert asyncio.all_tasks() <= before


async def test_unusable_certificates_are_named(tmp_path: Path) -> None:
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    public = {"certificate": str(chain), "certificate_key": str(key)}
    assert str(chain) in (await fault(tmp_path / "data", public=public)).reason
    assert "ca.pem" in (await fault(tmp_path / "data", public={"trust": str(tmp_path / "ca.pem")})).reason


async def test_a_did_that_is_none_is_refused(tmp_path: Path) -> None:
    for did in ("did:web:", "did:web:a b", "did:web:a%2Fb", "did:web:a/../b"):
        await fault(tmp_path / "data", node={"did": did}, identity={"kind": "did"})


@pytest.mark.parametrize(
    "name", ["atuo", "", "no.such.module:Class", "json:Nothing", "json", ":", "plugin_under_test:broken"]
)
@pytest.mark.parametrize("kind", ["negotiation", "transfer"])
@pytest.mark.usefixtures("plugin")
async def test_a_strategy_that_cannot_be_loaded_is_named(tmp_path: Path, kind: str, name: str) -> None:
    error = await fault(tmp_path, strategy={kind: name})
    assert error.pointer == f"/strategy/{kind}"
    assert "auto, manual" in error.reason


async def test_a_plug_in_without_decide_is_refused(tmp_path: Path) -> None:
    assert "decide" in (await fault(tmp_path, strategy={"negotiation": "json:JSONDecoder"})).reason


# Strategies


class Watching:
    """A plug-in that notes what it is asked and holds everything."""

    seen: list[str]

    def __init__(self) -> None:
        Watching.seen = []

    def decide(self, view: NegotiationView) -> Decision:
        Watching.seen.append(f"{view.event} by {view.counterparty.id}")
        return HOLD


def broken() -> None:
    raise RuntimeError("this plug-in does not start")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("plugin_under_test")
    module.Watching = Watching  # type: ignore[attr-defined]
    module.broken = broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


async def test_a_plug_in_decides(tmp_path: Path, plugin: ModuleType) -> None:
    async with world(tmp_path, strategy={"negotiation": f"{plugin.__name__}:Watching"}) as us:
        offer = await us.publish()
        opened = await us.post("/negotiations/request", us.request(us.offer(offer)))
        assert Watching.seen == ["REQUEST by consumer"]
        assert (await us.get(f"/negotiations/{opened.doc['providerPid']}")).doc["state"] == "REQUESTED"
        assert us.peer.got == []


async def test_the_strategies_are_chosen_by_name(tmp_path: Path) -> None:
    async with world(tmp_path, strategy={"negotiation": "manual"}) as us:
        negotiations, transfers = us.running.node.negotiations, us.running.node.transfers
        assert isinstance(negotiations, CountedNegotiations)
        assert isinstance(negotiations.inner, Manual)
        assert isinstance(transfers, CountedTransfers)
        assert isinstance(transfers.inner, AutomaticTransfer)


# Life


async def test_two_nodes_live_in_one_process(tmp_path: Path) -> None:
    second = {"did": "second", "data": str(tmp_path / "two")}
    async with world(tmp_path / "one") as one, world(tmp_path / "two", node=second) as two:
        await one.publish("only-here")
        for us, found in ((one, ["only-here"]), (two, [])):
            shown = await us.post("/catalog/request", message("CatalogRequestMessage"))
            assert [d["@id"] for d in shown.doc.get("dataset", [])] == found
            assert shown.doc["participantId"] == us.running.node.id
        assert one.running.public.port != two.running.public.port
    assert (tmp_path / "one" / DATABASE).exists()
    assert (tmp_path / "one" / KEY_FILE).read_bytes() != (tmp_path / "two" / KEY_FILE).read_bytes()


async def test_a_node_comes_back_as_it_was(tmp_path: Path) -> None:
    async with world(tmp_path) as us:
        pid, _ = await us.as_provider()
        before = await us.everything()
    key = (tmp_path / KEY_FILE).read_bytes()
    async with world(tmp_path) as us:
        assert await us.everything() == before
        assert (await us.get(f"/negotiations/{pid}")).doc["state"] == "FINALIZED"
    assert (tmp_path / KEY_FILE).read_bytes() == key
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o077 == 0


async def test_the_management_api_is_not_where_strangers_are(tmp_path: Path) -> None:
    async with world(tmp_path) as us, ClientSession() as session:
        for url, status in (
            (f"{us.running.public.url}/management/v3/assets/request", 404),
            (f"{us.running.management.url}/management/v3/assets/request", 200),
            (f"{us.running.management.url}/api/v1/dsp/2025-1/catalog/request", 404),
        ):
            async with session.post(url, headers={"X-Api-Key": KEY}, json={}) as answer:
                assert answer.status == status, url


async def test_the_public_side_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    authority.issue(chain, key, "node")
    public = {"certificate": str(chain), "certificate_key": str(key), "trust": str(authority.file)}
    trusting = ssl.create_default_context(cafile=str(authority.file))
    async with world(tmp_path / "data", public=public) as us, ClientSession() as session:
        assert us.running.public.url.startswith("https://127.0.0.1:")
        url = f"{us.root}/.well-known/dspace-version"
        async with session.get(url, ssl=trusting) as answer:
            assert answer.status == 200
        found = await us.running.node.wire.send("GET", url, headers={})  # its own client trusts the authority
        assert found.status == 200


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_node_quickly_and_cleanly(tmp_path: Path, which: signal.Signals) -> None:
    file = tmp_path / "node.toml"
    file.write_text(toml(settings(tmp_path / "data")), encoding="utf-8")
    serve = (sys.executable, "-m", "connector", "serve", "--json", "--config", str(file))
    process = await asyncio.create_subprocess_exec(
        *serve, env={**os.environ, "KEY": KEY}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        ready = json.loads(await process.stdout.readline())
    assert ready
    now: Callable[[], float] = asyncio.get_running_loop().time
    began = now()
    process.send_signal(which)
    _, log = await process.communicate()
    assert process.returncode == 0, log
    assert now() - began < 3
    events = [json.loads(line) for line in log.decode().splitlines()]
    assert [e["event"] for e in events] == ["ready", "stopping"]
    assert events[1]["signal"] == which.name
    assert KEY not in log.decode()


def toml(doc: dict[str, Any]) -> str:
    """Settings as a file; JSON's strings, numbers and booleans are TOML's."""
    lines = []
    for section, values in doc.items():
        lines += [f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    return "\n".join(lines)


def test_a_wrong_setting_has_its_pointer() -> None:
    with pytest.raises(Invalid) as caught:
        parse({"node": {"did": 1}}, {})
    assert caught.value.pointer == "/node/did"
