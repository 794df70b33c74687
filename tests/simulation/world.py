"""One run: machines, the weather between them, the people at them. Everything follows from the seed."""

import asyncio
import contextlib
import random
import sqlite3
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from typing import Final

from connector.exchange import publish
from connector.exchange.fetch import fetch
from connector.exchange.node import Node
from connector.exchange.ports import Commit
from connector.exchange.query import Criterion
from connector.exchange.records import Asset, ContractDefinition, Negotiation, PolicyDefinition, Transfer
from connector.policy.model import Policy, Rule
from connector.protocol import transfer
from connector.protocol.vocabulary import EDC
from tests.simulation import virtual
from tests.simulation.invariants import Quiet, may_leave, of_record
from tests.simulation.machine import NAMES, Life, Machine, database, new_database
from tests.simulation.network import FAIR, Network
from tests.simulation.people import LIFETIMES, Operator, dead, definition_of, policy_of, running, strategies
from tests.simulation.plan import Crash, Manner, Plan, drawn
from tests.simulation.story import Story, watched
from tests.simulation.virtual import between

PATIENCE_S: Final = 4 * 3600.0
"""Virtual time that a healed world gets to come to rest: more than all attempts and pauses of a message take."""
OUTAGE_S: Final = 2 * 3600.0
"""Longer than a message is tried."""
ROUNDS: Final = 4
ENOUGH: Final = 5
"""Complaints kept."""


class Broken(Exception):
    """An invariant does not hold: the run ends here."""


class World:
    """Whatever the machines of one run share."""

    def __init__(self, seed: int, plan: Plan, databases: Sequence[sqlite3.Connection]) -> None:
        self.story = Story(seed)
        self.plan = plan
        self.chance = random.Random(seed)  # noqa: S311 - it must be predictable
        self._loop = asyncio.get_running_loop()
        self._healed = False
        self._crashes = set(plan.crashes)
        self.network = Network(self, self.chance)
        self.machines: dict[str, Machine] = {}
        for name, opened in zip(NAMES, databases, strict=False):
            decide = strategies(self.chance, plan.manner)
            offset = self.chance.randint(-plan.skew_ms, plan.skew_ms)
            self.machines[name] = Machine(self, name, opened, decide, offset)
        self.operators = [
            Operator(machine, [n for n in self.machines if n != name], self.chance, plan.manner)
            for name, machine in self.machines.items()
        ]

    # What machines report.

    def note(self, what: str, about: object) -> None:
        self.story.lines.append((round(self._loop.time(), 6), what, str(about)))

    def failed(self, complaint: str) -> None:
        if len(self.story.complaints) < ENOUGH:
            self.note("WRONG", complaint)
            self.story.complaints.append(complaint)

    def committed(self, life: Life, commit: Commit) -> None:
        if life.dead:
            return
        for event in commit.events:
            if isinstance(event.record, Negotiation | Transfer):
                self.note(event.name, f"{life.machine.name} {event.record.id}")
                for complaint in of_record(event.record):
                    self.failed(complaint)

    def data_leaves(self, life: Life, chunk: bytes) -> None:
        """Data passes a provider's door; what the process has not heard of yet it cannot know."""
        if life.dead or life.unheard:
            return
        machine = life.machine
        for line in chunk.decode().splitlines():
            asset, _, agreement = line.partition("|")
            self.note("data leaves", f"{machine.name} {line}")
            if why := machine.peek(lambda tx: may_leave(tx, asset, agreement, machine.clock.now())):  # noqa: B023 - called at once
                self.failed(f"{machine.name} let data of {asset} leave, but {why}")

    def crashes(self, machine: Machine, *, after: bool) -> bool:
        """Whether a machine dies at this commit boundary."""
        here = Crash(machine.name, machine.commits + (not after), after)
        if here in self._crashes:
            self._crashes.remove(here)  # the next process of this machine gets past it
            return True
        return not self._healed and self.plan.crash > 0 and self.chance.random() < self.plan.crash

    # The run.

    async def run(self) -> None:
        await asyncio.sleep(1)
        self.network.weather = self.plan.weather
        faults = self._faults()
        work = [o.work(self.plan.seconds, self.plan.acts) for o in self.operators]
        if self.plan.outage:
            work.append(self._outage())
        await asyncio.gather(*work)
        for fault in faults:
            fault.cancel()
        await self._heal()
        await self._rest()
        self._check()
        await self._pull_all()
        self._check()
        await self._end_all()

    def _faults(self) -> list[asyncio.TimerHandle]:
        """What happens at moments that nobody chooses."""
        faults: list[asyncio.TimerHandle] = []

        def at_some_time(times: int, what: Callable[[], None]) -> None:
            at = [self.chance.uniform(0, self.plan.seconds) for _ in range(times)]
            faults.extend(self._loop.call_later(delay, what) for delay in at)

        at_some_time(self.plan.partitions, lambda: self._cut(between(self.chance, 0.1, 600.0)))
        at_some_time(self.plan.full_disks, self._fill_disk)
        at_some_time(self.plan.jumps, self._jump)
        at_some_time(round(10 * self.plan.crash), self._kill)
        return faults

    def _some_machine(self) -> Machine:
        return self.chance.choice(list(self.machines.values()))

    def _kill(self) -> None:
        if (life := self._some_machine().life) is not None:
            life.end()

    def _cut(self, seconds: float) -> None:
        pair = frozenset(self.chance.sample(list(self.machines), 2))
        self.note("cut", sorted(pair))
        self.network.cuts.add(pair)

        def mend() -> None:
            self.note("mended", sorted(pair))
            self.network.cuts.discard(pair)

        self._loop.call_later(seconds, mend)

    def _fill_disk(self) -> None:
        machine = self._some_machine()
        machine.disk_full = True
        self.note("disk full", machine.name)
        self._loop.call_later(between(self.chance, 0.1, 60.0), setattr, machine, "disk_full", False)

    def _jump(self) -> None:
        machine = self._some_machine()
        ms = self.chance.choice((-1, 1)) * int(1000 * between(self.chance, 0.1, 1800.0))
        self.note("clock jumps", f"{machine.name} {ms} ms")
        machine.jump_ms += ms  # the most delicate moment: a transaction is on its way

    async def _outage(self) -> None:
        await asyncio.sleep(self.chance.uniform(0, self.plan.seconds))
        self._cut(OUTAGE_S)
        await asyncio.sleep(OUTAGE_S)

    async def _heal(self) -> None:
        """From now on there are no faults; what has fallen stands up."""
        self.note("healed", "")
        self._healed = True
        self.network.weather = FAIR
        self.network.cuts.clear()
        for machine in self.machines.values():
            machine.disk_full = False
            machine.start()

    async def _rest(self) -> None:
        """Wait until nobody has anything to do. Complain if that does not come."""
        end, pause = self._loop.time() + PATIENCE_S, 0.5
        while not self._quiet():
            if self._loop.time() > end:
                self.failed("the world does not come to rest: " + "; ".join(self._unfinished()))
                raise Broken
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 300.0)
            for operator in self.operators:
                if given_up := operator.machine.peek(dead):
                    await operator.do(operator.retry_dead_letters)
                    if not self.plan.outage:
                        self.failed(f"{operator.machine.name} has given up {[m.event for m in given_up]} too early")

    def _quiet(self) -> bool:
        return self.network.under_way == 0 and not self._unfinished()

    def _unfinished(self) -> list[str]:
        found = []
        for name, machine in self.machines.items():
            if machine.life is None or machine.life.app is None or machine.life.unheard:
                found.append(f"{name} is not up")
            rows = machine.database.execute("SELECT id, event, attempts, dead, last_error FROM outbox").fetchall()
            found += [f"{name} has the message {row}" for row in rows]
            now = machine.clock.now()
            due = "SELECT id, due_at FROM timer WHERE kind != 'agreement-end' OR due_at <= ?"
            found += [f"{name} has the timer {row}" for row in machine.database.execute(due, (now,)).fetchall()]
        return found

    def _check(self) -> None:
        for complaint in Quiet(self.machines).complaints(self.plan.manner):
            self.failed(complaint)
        if self.story.complaints:
            raise Broken

    async def _pull_all(self) -> None:
        """Whoever has a running transfer gets its data."""
        for operator in self.operators:
            machine = operator.machine
            for record in machine.peek(running)[1]:
                if machine.peek(lambda tx: tx.edrs.find(record.id)) is not None:  # noqa: B023 - used at once
                    await self._pull(operator, record)
        await self._rest()

    async def _pull(self, operator: Operator, record: Transfer) -> None:
        async def get(node: Node) -> None:
            await fetch(node, record.id)

        async def renew(node: Node) -> None:
            await node.refresher.fresh(record.id, force=True)

        for _ in range(3):
            await self._rest()  # who has died is up again
            if await operator.do(get):
                return
            await operator.do(renew)
        after = operator.machine.peek(lambda tx: tx.transfers.get(record.id))
        if after.process.state is transfer.State.STARTED:
            self.failed(f"{operator.machine.name}: transfer {record.id} is started, but its data cannot be had")

    async def _end_all(self) -> None:
        for left in reversed(range(ROUNDS)):
            active = self.chance.sample(self.operators, self.chance.randint(1, len(self.operators)))
            active = active if left else self.operators
            await asyncio.gather(*(o.do(o.end_everything) for o in active))
            await self._rest()
            for complaint in Quiet(self.machines).complaints(Manner.FREE):
                self.failed(complaint)
        for name, machine in self.machines.items():
            contracts, moving = machine.peek(running)
            rest: list[Negotiation | Transfer] = [*contracts, *moving]
            for unended in rest:
                self.failed(f"{name}: {unended.id} cannot be ended: {unended.process} {unended.error}")


@cache
def template() -> bytes:
    """A database with everything that is for sale, the same on every machine."""
    opened = new_database()

    async def publish_everything() -> None:
        world = World(0, Plan(machines=1), [opened])
        await asyncio.sleep(1)
        machine = world.machines[NAMES[0]]
        assert machine.life is not None
        node, now = machine.life.node, machine.clock.now()
        await publish.add_policy(node, PolicyDefinition("anybody", now, Policy((Rule("use"),))))
        for asset in LIFETIMES:
            only, sale = (Criterion(f"{EDC}id", "=", asset),), definition_of(asset)
            await publish.add_asset(node, Asset(asset, now, data_address={"type": "Shelf"}))
            await publish.add_policy(node, PolicyDefinition(asset, now, policy_of(asset)))
            await publish.add_definition(node, ContractDefinition(sale, now, "anybody", asset, only))

    virtual.run(publish_everything())
    with contextlib.closing(opened):
        return bytes(opened.serialize())


def simulate(seed: int, plan: Plan | None = None) -> Story:
    """Run one seed. The story's complaints are empty if everything held."""
    chosen = drawn(random.Random(f"plan {seed}")) if plan is None else plan  # noqa: S311 - it must be predictable
    template()  # it has a loop of its own

    async def main() -> Story:
        with ExitStack() as stack:
            databases = [stack.enter_context(database(template())) for _ in range(chosen.machines)]
            world = World(seed, chosen, databases)
            world.note("plan", chosen)
            with watched(world.failed):
                try:
                    await world.run()
                except Broken:
                    pass
                except virtual.Standstill:
                    world.failed("everybody waits for nothing")
                except Exception:  # noqa: BLE001 - a fault of the simulation is told like any other
                    world.failed(traceback.format_exc())
            story = world.story
            story.packets = world.network.sent
            story.commits = {name: machine.commits for name, machine in world.machines.items()}
            return story

    return virtual.run(main())
