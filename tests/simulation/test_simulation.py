"""The simulation holds, can be replayed, and can fail: each planted bug is found by one of a few seeds."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any

import pytest

from connector.dataplane import access
from connector.engine import engine
from connector.engine.engine import Engine
from connector.exchange import delivery, negotiation_inbound, transfer_inbound, transfer_moves
from connector.exchange.moves import KINDS
from connector.protocol import process
from connector.protocol.errors import PeerError
from connector.protocol.negotiation import NegotiationProcess
from connector.protocol.process import Process
from connector.protocol.transfer import TransferProcess
from tests.simulation import virtual
from tests.simulation.plan import Crash, Manner, Plan
from tests.simulation.run import main, some
from tests.simulation.world import simulate

Patch = pytest.MonkeyPatch
PIECES, SEEDS = 4, 15
ENOUGH = 60
"""A planted bug is found by one of so many seeds."""


@pytest.mark.parametrize("piece", range(PIECES))
def test_the_first_seeds_hold(piece: int) -> None:
    tally = some(piece * SEEDS, SEEDS)
    assert tally.failed is None, f"make simulate SEED={tally.failed[0]}: {tally.failed[1]}"
    assert tally.seeds == SEEDS


def test_a_seed_is_a_history() -> None:
    assert simulate(7).digest == simulate(7).digest != simulate(8).digest


def test_a_history_is_the_same_in_another_process() -> None:
    """Whose sets and dictionaries of texts are in another order."""
    program = "from tests.simulation.world import simulate; print(simulate(7).digest)"
    seeded = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=seeded)  # noqa: S603 - ours
    assert done.stdout.strip() == simulate(7).digest


def test_a_seed_is_told_with_its_history(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7"]) == 0
    told = capsys.readouterr().out
    assert "ContractRequestMessage" in told
    assert "seed 7 holds" in told


STORIES = {
    "contracts and their data": (1, Plan(manner=Manner.CALM, acts=1, seconds=5.0)),
    "pauses and resumptions": (3, Plan(manner=Manner.PACING, acts=3, seconds=10.0)),
}


@pytest.mark.parametrize(("seed", "plan"), STORIES.values(), ids=STORIES)
def test_a_crash_at_any_commit_boundary_loses_and_doubles_nothing(seed: int, plan: Plan) -> None:
    commits = simulate(seed, plan).commits
    assert sum(commits.values()) > 25
    for machine, count in commits.items():
        for number, after in itertools.product(range(1, count + 1), (False, True)):
            crash = Crash(machine, number, after)
            story = simulate(seed, replace(plan, crashes=(crash,)))
            assert story.complaints == [], f"{crash}\n{story}"
            assert any(what == "dies" for _, what, _ in story.lines), crash


# What the simulation is for: it finds bugs. These are planted.


def answers_before_it_commits(patch: Patch) -> None:
    """A message is answered although what it does has not been committed yet."""
    for inbound in (negotiation_inbound, transfer_inbound):
        take = inbound._take  # noqa: SLF001 - a bug is planted there

        async def later(*given: Any, take: Callable[..., Any] = take, **more: Any) -> None:
            with suppress(PeerError):
                await take(*given, **more)

        async def hasty(*given: Any, later: Callable[..., Any] = later, **more: Any) -> None:
            asyncio.create_task(later(*given, **more), context=Context())  # noqa: RUF006 - a part of the bug

        patch.setattr(inbound, "_take", hasty)


def forgets_the_outbox(patch: Patch) -> None:
    """After a start nobody looks at what an earlier life has promised."""

    async def start(self: Engine) -> None:
        self._node.store.listen(self._committed)

    patch.setattr(Engine, "start", start)


def takes_repeats_for_news(patch: Patch) -> None:
    """The `@id` of a message is not looked at."""
    receive = Process.receive

    def forgetful(self: Any, event: Any, key: str, **more: Any) -> Any:  # noqa: ANN401 - a Process
        after = receive(replace(self, seen=()), event, key, **more)
        return replace(after, seen=(*self.seen, *after.seen))

    for kind in (NegotiationProcess, TransferProcess):
        patch.setattr(kind, "receive", forgetful)


def knows_no_precedence(patch: Patch) -> None:
    """Of two messages that cross, each side takes the other's."""
    patch.setattr(process, "_precedes", lambda *_: False)


def believes_only_answers(patch: Patch) -> None:
    """What the peer says next is not taken for a proof that our message arrived."""
    for kind in (NegotiationProcess, TransferProcess):
        patch.setattr(kind, "proven_by", lambda self, _: self)


def gives_up_at_once(patch: Patch) -> None:
    """A message that was not answered is not sent again."""
    patch.setattr(delivery, "ATTEMPTS", 1)


def leaves_the_door_open(patch: Patch) -> None:
    """A pause or an end does not revoke the right to data."""
    patch.setattr(transfer_moves, "close", lambda *_: None)


def overlooks_the_end(patch: Patch) -> None:
    """The data plane trusts the timer that ends transfers with their agreement. (This bug was real.)"""
    patch.setattr(access, "_in_force", lambda *_: None)


def keeps_the_old_opening(patch: Patch) -> None:
    """A second start changes the grant, but not the time of its opening. (This bug was real.)"""

    def reopened(node: Any, tx: Any, record: Any) -> Any:  # noqa: ANN401 - as the original
        bpn = node.directory.bpn_of(record.peer.id)
        address, grant = node.data_plane.open_pull(record, bpn, node.clock.now())
        (tx.grants.add if tx.grants.find(grant.id) is None else tx.grants.save)(grant)
        return address

    patch.setattr(transfer_moves, "_open", reopened)


def loses_delayed_decisions(patch: Patch) -> None:
    """What a strategy wanted to do later is dropped when it is due."""
    for kind in KINDS.values():
        patch.setitem(engine._RINGS, kind, lambda *_: None)  # noqa: SLF001 - a bug is planted there


JUMPING = Plan(manner=Manner.CALM, seconds=100.0, acts=30, jumps=3)
BUGS: dict[Callable[[Patch], None], Plan | None] = {
    answers_before_it_commits: None,
    forgets_the_outbox: None,
    takes_repeats_for_news: None,
    knows_no_precedence: None,
    believes_only_answers: None,
    gives_up_at_once: None,
    leaves_the_door_open: None,
    overlooks_the_end: JUMPING,
    keeps_the_old_opening: None,
    loses_delayed_decisions: None,
}


@pytest.mark.parametrize(("plant", "plan"), BUGS.items(), ids=lambda it: getattr(it, "__name__", ""))
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], plan: Plan | None, monkeypatch: Patch) -> None:
    simulate(0)  # what is prepared once is prepared without the bug
    plant(monkeypatch)
    assert some(0, ENOUGH, plan).failed is not None


@pytest.mark.parametrize("seed", range(3))
def test_without_the_bug_its_plan_holds(seed: int) -> None:
    assert simulate(seed, JUMPING).complaints == []


def test_virtual_time_costs_nothing() -> None:
    async def sleep() -> float:
        await asyncio.sleep(10 * 365 * 86400)
        return asyncio.get_running_loop().time()

    assert virtual.run(sleep()) == pytest.approx(10 * 365 * 86400)


def test_waiting_for_nothing_is_noticed() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(virtual.Standstill):
        virtual.run(wait())
