"""What it costs an exchange that both sides prove by credentials who they are (DCP), beside DIDs alone.

Three pairs of nodes do the same exchange in turns, so that what else the machine does meets all of them: one with plain
DIDs, one with credentials as they are kept by default, and one that keeps none and asks the other's wallet for each
message.

Cold is the first exchange of two nodes that have just been started: they have no DID document, presentation, status
list or connection of anybody yet. The pair with plain DIDs is started again as often, because a start makes every node
slow. The authority gives its status lists the time to live that authorities have by default: that of a sandbox gives
none, so that lists would be fetched for each message.
"""

import asyncio
import re
import statistics
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from connector.client import Client, Provider, template
from connector.onboarding.folder import CONFIG_FILE, to_toml
from connector.sandbox import trust
from connector.sandbox.nodes import Member, Sandbox, sandbox
from connector.sandbox.participants import CATHODE_SUPPLIER, CELL_MAKER, OEM, SECOND_OEM, Company
from connector.sandbox.process import SERVE_AUTHORITY, NodeProcess
from tests.bench.exchanging import ASSET, Pair
from tests.bench.load import timed
from tests.bench.report import Report, Target

WARM: Final = Target(50)
UNASKED: Final = Target(0)
WARM_UP: Final = 3
QUERIES: Final = re.compile(
    r'connector_http_request_seconds_count\{[^}]*route="/dcp/presentations/query"[^}]*\} ([\d.]+)'
)
"""A node's metric of how often its wallet was asked."""


@dataclass(frozen=True, slots=True)
class Side:
    """Two nodes that exchange, and their processes since the last start."""

    provider: Member
    consumer: Member
    _running: list[NodeProcess] = field(default_factory=list)

    @classmethod
    def of(cls, box: Sandbox, provider: Company, consumer: Company) -> "Side":
        """Two nodes of a sandbox, as it has started them."""
        members = box.members[provider.name], box.members[consumer.name]
        return cls(*members, [member.process for member in members])

    async def offer(self, source: str) -> None:
        """Offer data of `source`, a bare server's root, to the consumer alone."""
        maker, only = self.provider.participant, template("by-bpn", [self.consumer.participant.bpn])
        where = {"type": "HttpData", "baseUrl": f"{source}/bytes", "proxyPath": "true"}
        async with Client(maker.management, maker.api_key) as client:
            await client.assets.put(ASSET, data_address=where)
            await client.offer(ASSET, [ASSET], access=only, contract=only)

    async def restart(self) -> None:
        """End both and start them again: what they know of others by then is what they have stored."""
        await self.stop()
        async with asyncio.TaskGroup() as group:
            for member in (self.provider, self.consumer):
                group.create_task(self._start(member))

    async def _start(self, member: Member) -> None:
        old = member.process
        self._running.append(await NodeProcess.start(old.name, member.folder / CONFIG_FILE, old.log))

    async def stop(self) -> None:
        """End what runs."""
        await asyncio.gather(*(process.stop() for process in self._running))
        self._running.clear()

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[Pair]:
        """With connections to the nodes as they run now."""
        maker, taker = self.provider.participant, self.consumer.participant
        async with Client(taker.management, taker.api_key) as client, aiohttp.ClientSession() as session:
            yield Pair(client, Provider(maker.did, maker.dsp), session)

    async def queries(self) -> float:
        """How often the wallets of the two were asked since the last start."""
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            total = 0.0
            for member in (self.provider, self.consumer):
                async with session.get(f"{member.process.ready.management}/metrics") as answer:
                    total += sum(map(float, QUERIES.findall(await answer.text())))
            return total

    async def first(self) -> float:
        """Milliseconds of an exchange right after a start."""
        await self.restart()
        async with self.reached() as pair:
            return (await timed(1, pair.whole, warm_up=0))[0]


async def measure(source: str, rounds: int, report: Report) -> None:
    """Add the figures of as many warm exchanges, and of a cold one for each ten of them."""
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(sandbox(2))
        members = await stack.enter_async_context(sandbox(4, credentials=True))
        await stack.enter_async_context(_with_ordinary_lists(members))
        plain = Side.of(alone, CELL_MAKER, OEM)
        kept = Side.of(members, CELL_MAKER, OEM)
        asked = Side.of(members, CATHODE_SUPPLIER, SECOND_OEM)
        sides = (plain, kept, asked)
        for side in sides:
            stack.push_async_callback(side.stop)
            await side.offer(source)
        for member in (asked.provider, asked.consumer):
            _set(member.folder / CONFIG_FILE, "identity", {"kind": "dcp", "keep_credentials": 0})
        await asked.restart()
        cold = [(await plain.first(), await kept.first()) for _ in range(max(2, rounds // 10))]
        before = await kept.queries(), await asked.queries()
        warm = await _in_turns(sides, rounds)
        after = await kept.queries(), await asked.queries()
    report.add("exchange with plain DIDs, cold", "ms", [did for did, _ in cold])
    report.add("exchange with DCP, cold", "ms", [dcp for _, dcp in cold])
    report.add("exchange with plain DIDs, warm", "ms", warm[0])
    report.add("exchange with DCP, warm", "ms", warm[1], WARM)
    report.add("exchange with DCP, wallets asked for each message", "ms", warm[2])
    report.add("exchange, warm: DCP / plain DIDs", "x", [statistics.median(warm[1]) / statistics.median(warm[0])])
    each = [(now - then) / (WARM_UP + rounds) for then, now in zip(before, after, strict=True)]
    report.add("questions to wallets in an exchange, warm", "", each[:1], UNASKED)
    report.add("questions to wallets in an exchange, asked for each message", "", each[1:])


async def _in_turns(sides: Sequence[Side], rounds: int) -> list[list[float]]:
    """Milliseconds of each round, for each side."""
    async with AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(side.reached()) for side in sides]
        took: list[list[float]] = [[] for _ in pairs]
        for _ in range(WARM_UP + rounds):
            for samples, pair in zip(took, pairs, strict=True):
                samples.extend(await timed(1, pair.whole, warm_up=0))
    return [samples[WARM_UP:] for samples in took]


@asynccontextmanager
async def _with_ordinary_lists(box: Sandbox) -> AsyncIterator[None]:
    """The sandbox's authority is started again with the default time to live of status lists."""
    if box.authority is None:
        raise LookupError("this sandbox has no authority")
    old = box.authority.process
    config = old.log.parent / trust.CONFIG_FILE
    _set(config, "issuing", {})
    await old.stop()
    new = await NodeProcess.start(trust.NAME, config, old.log, SERVE_AUTHORITY)
    try:
        yield
    finally:
        await new.stop()


def _set(file: Path, section: str, members: dict[str, object]) -> None:
    """Replace a section of a TOML file of settings."""
    file.write_text(to_toml(tomllib.loads(file.read_text(encoding="utf-8")) | {section: members}), encoding="utf-8")
