"""What the sandbox is made of, without its processes."""

import asyncio
import re
import signal
import socket
from pathlib import Path

import pytest

from connector.identity.directory import BPN
from connector.onboarding.folder import write_atomically
from connector.protocol.errors import Invalid, LocalError
from connector.sandbox.goods import cathode_suppliers_good, cell_makers_goods, excerpt
from connector.sandbox.link import Link, Ready, report
from connector.sandbox.participants import COMPANIES, companies, read_participants
from connector.sandbox.ports import HOST, Ports
from connector.sandbox.story import Story
from connector.sandbox.telling import Step, Telling, hold
from connector.semantics.registry import bundled
from connector.semantics.validation import validate

NODES = """
[[nodes]]
name = "oem"
did = "did:web:oem.example"
bpn = "BPNL000AURELIS01"
dsp = "https://oem.example/api/v1/dsp/2025-1/"
management = "http://127.0.0.1:8181/management"
key = "env:OEM_KEY"
"""


def test_companies_have_distinct_proper_numbers_and_names() -> None:
    found = companies(12)
    assert found[:6] == COMPANIES
    assert [c.name for c in found[6:8]] == ["node-7", "node-8"]
    assert len({c.bpn for c in found}) == len({c.name for c in found}) == 12
    assert all(BPN.fullmatch(c.bpn) for c in found)


def test_everything_in_the_story_fits_its_aspect_model() -> None:
    goods = [*cell_makers_goods(), cathode_suppliers_good()]
    assert [good.kind for good in goods] == ["BatteryPass"] * 3 + ["Pcf"] * 2
    for good in goods:
        validate(good.semantic_id, good.payload, bundled())
        assert all(excerpt(good.kind, good.payload).values())
    assert len({good.asset_id for good in goods}) == len(goods)


def test_nodes_that_run_already_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "nodes.toml"
    file.write_text(NODES)
    oem = read_participants(file, {"OEM_KEY": "a-good-long-key"})["oem"]
    assert (oem.api_key, oem.dsp) == ("a-good-long-key", "https://oem.example/api/v1/dsp/2025-1")
    assert "a-good-long-key" not in repr(oem)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NODES.replace('bpn = "BPNL000AURELIS01"', ""), "/nodes/0/bpn"),
        (NODES.replace("env:OEM_KEY", "plain"), "/nodes/0/key"),
        ("nodes = 1", "/nodes"),
        ("[[", "is not TOML"),
    ],
)
def test_a_wrong_file_of_nodes_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "nodes.toml"
    file.write_text(text)
    with pytest.raises(Invalid, match=re.escape(told)):
        read_participants(file, {"OEM_KEY": "a-good-long-key"})


def test_the_story_needs_its_people(tmp_path: Path) -> None:
    file = tmp_path / "nodes.toml"
    file.write_text(NODES)
    with pytest.raises(Invalid, match="cell-maker and one named cathode-supplier"):
        Story(read_participants(file, {"OEM_KEY": "a-good-long-key"}), Telling(), here=False)


async def test_a_chapter_stops_at_what_does_not_hold_and_the_next_one_is_told() -> None:
    heard: list[Step] = []
    telling = Telling(heard=heard.append)

    async def breaks() -> None:
        with telling.step("A", "tries"):
            hold(promise=False, otherwise="it is not so")
        raise AssertionError("the chapter went on")

    async def holds() -> None:
        with telling.step("B", "goes on") as step:
            step.note("well")

    await telling.chapter(breaks)
    await telling.chapter(holds)
    assert [(s.who, s.ok, s.notes) for s in heard] == [("A", False, ["it is not so"]), ("B", True, ["well"])]
    assert not telling.ok
    assert [s.who for s in telling.broken] == ["A"]
    assert telling.to_json()["ok"] is False


def test_what_is_not_told_is_said_and_counts_as_no_step() -> None:
    telling = Telling()
    telling.leave_out("one passport, three readers", "no node is named recycler")
    assert telling.to_json()["left_out"] == ["one passport, three readers (no node is named recycler)"]
    assert not telling.ok


async def test_what_fails_between_two_steps_is_told_as_well() -> None:
    telling = Telling()

    async def breaks() -> None:
        raise LocalError("out of paper")

    await telling.chapter(breaks)
    assert [(s.ok, s.notes) for s in telling.steps] == [(False, ["out of paper"])]


def test_a_story_without_steps_has_not_held() -> None:
    assert not Telling().ok


def test_ports_are_free_and_stay_so_until_they_are_released() -> None:
    with Ports() as ports:
        taken = [ports.take() for _ in range(20)]
        assert len(set(taken)) == 20
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind((HOST, taken[0]))
        ports.hand_over()
        with socket.socket() as node:
            node.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            node.bind((HOST, taken[0]))
            node.listen()


async def test_a_node_tells_its_parent_and_ends_when_the_parent_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    said = Ready("http://127.0.0.1:1/management", "http://127.0.0.1:2/dsp", "http://127.0.0.1:2/public")
    with Link() as link:
        following = await report(socket.fromfd(link.child_fd, socket.AF_UNIX, socket.SOCK_STREAM).detach(), said)
        assert await link.ready() == said
        assert not following.done()
    await following
    assert raised == [signal.SIGTERM]


async def test_a_node_that_ends_before_it_is_ready_is_noticed() -> None:
    with Link() as link, pytest.raises(LocalError, match="before it was ready"):
        async with asyncio.timeout(5):
            await link.ready()  # nobody holds the other end


def test_a_file_that_others_wait_for_is_whole_and_private(tmp_path: Path) -> None:
    file = tmp_path / "pair.json"
    write_atomically(file, "one")
    write_atomically(file, "two")
    assert (file.read_text(), file.stat().st_mode & 0o077) == ("two", 0)
    assert [f.name for f in tmp_path.iterdir()] == ["pair.json"]
