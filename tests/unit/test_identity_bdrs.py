"""The fetched BPN directory: fresh while it can be, old while it must be, and never a choice between two partners."""

import asyncio
from types import SimpleNamespace
from typing import cast

import orjson
import pytest
from structlog.testing import capture_logs

from connector.exchange import discovery
from connector.exchange.node import Node
from connector.http.management import reading
from connector.identity.bdrs import MAX_ENTRIES, RemoteDirectory, read_directory
from connector.identity.directory import Directory
from connector.protocol.errors import PeerError, Unreachable
from tests.unit.identity_world import StillClock

BPN, OTHER, FIXED = "BPNL00000000CONS", "BPNL0000000OTHER", "BPNL0000000FIXED"
DID = "did:web:consumer.example"


class Server:
    """What the directory answers; `shown` are the presentations that it got."""

    def __init__(self) -> None:
        self.answer: bytes | None = orjson.dumps({BPN: DID})
        self.member = True
        self.shown: list[str] = []

    async def fetch(self, presentation: str) -> bytes:
        self.shown.append(presentation)
        if self.answer is None:
            raise Unreachable("it is away")
        return self.answer

    async def present(self) -> str | None:
        return "vp" if self.member else None


def directory(server: Server, clock: StillClock) -> RemoteDirectory:
    fixed = Directory({FIXED: "did:web:fixed.example"})
    return RemoteDirectory(fixed, server.fetch, server.present, clock, refresh_s=900)


async def landed(known: RemoteDirectory) -> None:
    """Let a fetch under way end."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert known._flight is None  # noqa: SLF001 - nothing is under way any more


async def test_the_first_look_up_begins_to_fetch() -> None:
    server, clock = Server(), StillClock()
    known = directory(server, clock)
    assert known.did_of(BPN) is None
    await landed(known)
    assert (known.did_of(BPN), known.bpn_of(DID)) == (DID, BPN)
    assert server.shown == ["vp"]


async def test_a_look_up_in_a_transaction_begins_to_fetch_as_well() -> None:
    """Timers and settled messages are judged in a thread of the store."""
    server = Server()
    known = directory(server, StillClock())
    assert await asyncio.to_thread(known.bpn_of, DID) is None
    await landed(known)
    assert await asyncio.to_thread(known.bpn_of, DID) == BPN
    assert server.shown == ["vp"]


async def test_who_needs_a_partner_waits_for_the_first_map() -> None:
    server = Server()
    known = directory(server, StillClock())
    assert await asyncio.gather(*(known.find(BPN) for _ in range(3))) == [DID] * 3
    assert await known.find(FIXED) == "did:web:fixed.example"
    assert server.shown == ["vp"]


async def test_the_first_request_of_an_application_may_name_a_bpn() -> None:
    """Not only the second one, because a negotiation whose partner is not known ends at once."""
    node = cast(Node, SimpleNamespace(directory=directory(Server(), StillClock())))
    found = await reading.peer(node, {"counterPartyId": BPN, "counterPartyAddress": "https://consumer.example/dsp"})
    assert found.id == DID
    node = cast(Node, SimpleNamespace(directory=directory(Server(), StillClock())))
    assert await discovery.participant_of(node, BPN) == DID


async def test_a_partner_that_is_new_is_waited_for_and_one_that_nobody_knows_is_not_each_time() -> None:
    server, clock = Server(), StillClock()
    known = directory(server, clock)
    assert await known.find(OTHER) is None
    server.answer = orjson.dumps({OTHER: "did:web:other.example"})
    assert await known.find(OTHER) is None, "the directory was asked a moment ago"
    clock.tick(11)
    assert await known.find(OTHER) == "did:web:other.example"
    server.answer = None
    clock.tick(11)
    assert await known.find(BPN) is None
    assert len(server.shown) == 3


async def test_nothing_is_fetched_for_what_is_no_bpn() -> None:
    server = Server()
    known = directory(server, StillClock())
    assert await known.find(DID) is None
    await landed(known)
    assert server.shown == []


async def test_a_map_is_used_for_its_time_and_nothing_is_fetched_meanwhile() -> None:
    server, clock = Server(), StillClock()
    known = directory(server, clock)
    await known.refresh()
    for _ in range(3):
        clock.tick(299)
        assert known.did_of(BPN) == DID
    await landed(known)
    assert len(server.shown) == 1
    server.answer = orjson.dumps({BPN: "did:web:moved.example"})
    clock.tick(10)
    assert known.did_of(BPN) == DID, "the look-up itself is answered from the old map"
    await landed(known)
    assert known.did_of(BPN) == "did:web:moved.example"


@pytest.mark.parametrize("answer", [None, b"", b"[]", b'{"a":', b"\xff"])
async def test_an_old_map_serves_while_there_is_no_new_one(answer: bytes | None) -> None:
    server, clock = Server(), StillClock()
    known = directory(server, clock)
    await known.refresh()
    server.answer = answer
    clock.tick(100_000)
    with capture_logs() as logs:
        for _ in range(5):
            assert known.did_of(BPN) == DID
            await landed(known)
    assert len(server.shown) == 2, "and the directory is not asked for each look-up"
    assert [line["known"] for line in logs] == [1]


async def test_without_a_membership_nobody_is_asked() -> None:
    server, clock = Server(), StillClock()
    server.member = False
    known = directory(server, clock)
    with capture_logs() as logs:
        await known.refresh()
    assert server.shown == []
    assert "MembershipCredential" in logs[0]["reason"]


async def test_credentials_that_come_end_the_pause_after_a_failure() -> None:
    server = Server()
    server.member = False
    known = directory(server, StillClock())
    assert await known.find(BPN) is None
    server.member = True
    assert await known.find(BPN) is None, "it failed a moment ago"
    known.look_again()
    assert await known.find(BPN) == DID
    known.look_again()
    await landed(known)
    assert server.shown == ["vp"], "a map that is there is not fetched again"


async def test_credentials_that_come_fetch_nothing_that_nobody_has_asked_for() -> None:
    server = Server()
    known = directory(server, StillClock())
    known.look_again()
    await landed(known)
    assert server.shown == []


async def test_credentials_that_come_while_a_fetch_without_them_is_under_way_make_another() -> None:
    server, held, gate = Server(), [None, "vp"], asyncio.Event()

    async def present() -> str | None:
        shown = held.pop(0)
        await gate.wait()
        return shown

    known = RemoteDirectory(Directory({}), server.fetch, present, StillClock())
    first = known.refresh()
    await asyncio.sleep(0)
    known.look_again()
    gate.set()
    await first
    await asyncio.sleep(0)
    assert await known.find(BPN) == DID
    assert (held, server.shown) == ([], ["vp"])


async def test_an_unknown_partner_makes_us_look_again_but_not_often() -> None:
    server, clock = Server(), StillClock()
    known = directory(server, clock)
    await known.refresh()
    for _ in range(10):
        assert known.did_of(OTHER) is None
        await landed(known)
    assert len(server.shown) == 1
    server.answer = orjson.dumps({BPN: DID, OTHER: "did:web:other.example"})
    clock.tick(11)
    assert known.did_of(OTHER) is None
    await landed(known)
    assert known.did_of(OTHER) == "did:web:other.example"


async def test_the_operators_own_entries_win() -> None:
    server, clock = Server(), StillClock()
    server.answer = orjson.dumps({FIXED: DID})
    known = directory(server, clock)
    await known.refresh()
    assert known.did_of(FIXED) == "did:web:fixed.example"


async def test_closing_gives_up_a_fetch_under_way() -> None:
    server, clock = Server(), StillClock()
    gate = asyncio.Event()

    async def present() -> str | None:
        await gate.wait()
        return "vp"

    known = RemoteDirectory(Directory({}), server.fetch, present, clock)
    known.refresh()
    await asyncio.sleep(0)
    await known.close()
    assert server.shown == []


def test_entries_that_are_none_are_left_out_and_two_partners_with_one_did_too() -> None:
    body = {BPN: DID, "BPNL1": DID, OTHER: "https://x.example", FIXED: 7}
    assert read_directory(orjson.dumps(body)) == {BPN: DID}
    assert read_directory(orjson.dumps({BPN: DID, OTHER: DID})) == {}


def test_a_map_without_end_is_refused() -> None:
    with pytest.raises(PeerError, match="more than"):
        read_directory(orjson.dumps({str(i): "" for i in range(MAX_ENTRIES + 1)}))
