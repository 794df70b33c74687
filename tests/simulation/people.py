"""Who decides and who interferes: strategies that are moody, and operators who do anything at any moment."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from typing_extensions import override

from connector.exchange import agreements, catalog, dead_letters, edrs, negotiate, transfer
from connector.exchange.fetch import fetch
from connector.exchange.node import Node
from connector.exchange.offer_ids import offer_id
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.records import Negotiation, Outgoing, Peer, Transfer
from connector.exchange.strategy import (
    HOLD,
    Act,
    AutomaticNegotiation,
    AutomaticTransfer,
    Decision,
    Manual,
    NegotiationStrategy,
    NegotiationView,
    TransferStrategy,
    TransferView,
    terminate,
)
from connector.policy.equality import fingerprint
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.errors import ConnectorError
from connector.protocol.negotiation import State
from connector.protocol.transfer import State as Running
from connector.protocol.vocabulary import HTTP_PULL, HTTP_PUSH
from tests.simulation.machine import Died, Machine, Strategies
from tests.simulation.network import INBOX, SUFFIX
from tests.simulation.plan import Manner
from tests.simulation.virtual import between

T = TypeVar("T")
LIFETIMES: Final = {"forever": None, "hour": 3600, "minute": 60, "moment": 8}
"""The assets of every machine, and for how many seconds an agreement about one is in force."""
_NEGOTIATING: Final = (Act.OFFER, Act.REQUEST, Act.ACCEPT, Act.AGREE, Act.VERIFY, Act.FINALIZE, Act.TERMINATE)
_TRANSFERRING: Final = (Act.START, Act.SUSPEND, Act.COMPLETE, Act.TERMINATE)
_LATEST: Final = QuerySpec(limit=50, descending=True)


def policy_of(asset: str) -> Policy:
    """The terms of an asset."""
    seconds = LIFETIMES[asset]
    if seconds is None:
        return Policy((Rule("use"),))
    return Policy((Rule("use", (Constraint("inForceDate", "lteq", f"contractAgreement+{seconds}s"),)),))


def definition_of(asset: str) -> str:
    return f"sale-{asset}"


def offer_of(provider: str, asset: str) -> Policy:
    """The offer that the provider's catalog has for an asset."""
    policy = policy_of(asset)
    ident = offer_id(definition_of(asset), asset, fingerprint(policy))
    return replace(policy, kind="Offer", id=ident, target=asset, assigner=provider)


class Moody(NegotiationStrategy, TransferStrategy):
    """Mostly does what an automatic strategy does, sometimes late, sometimes not, sometimes something else."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._negotiations, self._transfers = AutomaticNegotiation(), AutomaticTransfer()

    @override
    def decide(self, view: NegotiationView | TransferView) -> Decision:
        if isinstance(view, NegotiationView):
            return self._vary(self._negotiations.decide(view), _NEGOTIATING)
        return self._vary(self._transfers.decide(view), _TRANSFERRING)

    def _vary(self, usual: Decision, acts: Sequence[str]) -> Decision:
        mood = self._chance.random()
        if mood < 0.7:
            return usual
        if mood < 0.8:
            return HOLD
        if mood < 0.84:
            return terminate("a mood")
        late = int(1000 * between(self._chance, 0.01, 30.0))
        if mood < 0.93:
            return replace(usual, after_ms=late)
        return Decision(self._chance.choice(acts), after_ms=self._chance.choice((0, late)), reasons=("another mood",))


def strategies(chance: random.Random, manner: Manner) -> Strategies:
    automatic = Strategies(AutomaticNegotiation(), AutomaticTransfer())
    if manner is Manner.CALM:
        return automatic
    mood, hand = Moody(chance), Manual()
    if manner is Manner.PACING:
        return chance.choice((automatic, automatic, Strategies(AutomaticNegotiation(), mood)))
    moody, manual = Strategies(mood, mood), Strategies(hand, hand)
    return chance.choice((automatic, moody, moody, manual))


@dataclass
class Operator:
    """A person, or their programs, at one machine."""

    machine: Machine
    peers: Sequence[str]
    chance: random.Random
    manner: Manner

    async def work(self, seconds: float, acts: int) -> None:
        """Do `acts` things at random moments of the next `seconds`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        kinds = [act for weight, act in self._habits() for _ in range(weight)]
        for number in range(acts):
            await asyncio.sleep(min(between(self.chance, 0.02, 40.0), max(0.0, (end - loop.time()) / (acts - number))))
            await self.do(self.ask if number == 0 else self.chance.choice(kinds))

    def _habits(self) -> list[tuple[int, Callable[[Node], Coroutine[Any, Any, None]]]]:
        """What this person does, and how often."""
        match self.manner:
            case Manner.CALM:
                return [(3, self.ask), (3, self.order), (3, self.pull), (1, self.look)]
            case Manner.PACING:
                return [(2, self.ask), (4, self.order), (16, self.steer), (4, self.pull), (2, self.renew)]
            case Manner.FREE:
                often = [(4, self.ask), (2, self.offer), (4, self.order), (6, self.decide), (6, self.steer)]
                return [*often, (4, self.pull), (1, self.renew), (1, self.retire), (1, self.look)]

    async def do(self, act: Callable[[Node], Coroutine[Any, Any, object]]) -> bool:
        """Try something; whether it worked. A node that is down is tried again by nobody."""
        life = self.machine.life
        if life is None or life.app is None:
            return False
        world, name = self.machine.world, self.machine.name
        world.note(f"operator {act.__name__}", name)
        try:
            await life.call(act(life.node))
        except Died:
            return False
        except ConnectorError as error:
            world.note(f"operator is told: {error.reason}", name)
            return False
        return True

    def _pick(self, found: Sequence[T]) -> T | None:
        return self.chance.choice(found) if found else None

    def _peer(self) -> Peer:
        name = self.chance.choice(self.peers)
        return Peer(name, self.machine.world.machines[name].address)

    async def ask(self, node: Node) -> None:
        """Ask somebody for a contract, sometimes for the data as well."""
        peer, asset = self._peer(), self.chance.choice(list(LIFETIMES))
        form = HTTP_PULL if self.manner is Manner.PACING else self.chance.choice((None, HTTP_PULL))
        await negotiate.request(node, negotiate.Contract(peer, offer_of(peer.id, asset), transfer_format=form))

    async def offer(self, node: Node) -> None:
        asset = self.chance.choice(list(LIFETIMES))
        await negotiate.offer(node, self._peer(), definition_of(asset), asset)

    async def look(self, node: Node) -> None:
        """Read a peer's catalog."""
        await catalog.ask_dataset(node, self._peer(), self.chance.choice(list(LIFETIMES)))

    async def order(self, node: Node) -> None:
        """Ask for the data of an agreement."""
        final = (Criterion("state", "=", State.FINALIZED),)
        held = await node.store.read(lambda tx: tx.negotiations.query(replace(_LATEST, criteria=final)))
        contract = self._pick([n for n in held if n.peer.id != node.id and n.process.us == "CONSUMER"])
        if contract is None or contract.agreement_id is None:
            return
        if self.chance.random() < 0.75:
            wish = transfer.Order(contract.agreement_id, HTTP_PULL)
        else:
            there = {"baseUrl": f"http://{node.id}{SUFFIX}{INBOX}", "type": "HttpData"}
            wish = transfer.Order(contract.agreement_id, HTTP_PUSH, destination=there)
        await transfer.request(node, wish)

    async def decide(self, node: Node) -> None:
        """Decide about a negotiation; what waits for a person comes first."""
        found = await node.store.read(lambda tx: tx.negotiations.query(_LATEST))
        running = [n for n in found if not n.process.over]
        record = self._pick([n for n in running if n.process.awaited] or running)
        if record is not None:
            await negotiate.act(node, record.id, self._decision(record, (*_NEGOTIATING, *record.process.awaited)))

    async def steer(self, node: Node) -> None:
        """Pause, resume, complete or end a transfer."""
        found = await node.store.read(lambda tx: tx.transfers.query(_LATEST))
        record = self._pick([t for t in found if not t.process.over])
        if record is not None:
            await transfer.act(node, record.id, self._decision(record, (*_TRANSFERRING, *record.process.awaited)))

    def _decision(self, record: Negotiation | Transfer, acts: Sequence[str]) -> Decision:
        """Mostly what the protocol allows here; the rest must be refused."""
        us = record.process.us
        legal = [e.lower() for s, e, r in record.process.TABLE if s is record.process.state and r is us]
        if legal and self.chance.random() < 0.85:
            onward = [act for act in legal if act != Act.TERMINATE]
            acts = [*onward, self.chance.choice(legal)]
        return Decision(self.chance.choice([act.lower() for act in acts]), reasons=("a person wants it",))

    async def pull(self, node: Node) -> None:
        held = await node.store.read(lambda tx: tx.edrs.query(_LATEST))
        if (edr := self._pick(held)) is not None:
            await fetch(node, edr.id)

    async def renew(self, node: Node) -> None:
        held = await node.store.read(lambda tx: tx.edrs.query(_LATEST))
        if (edr := self._pick(held)) is not None:
            await edrs.refresh(node, edr.id)

    async def retire(self, node: Node) -> None:
        held = await node.store.read(lambda tx: tx.agreements.query(_LATEST))
        if (agreement := self._pick([a for a in held if a.provider_id == node.id])) is not None:
            await agreements.retire(node, agreement.id, "no longer wanted")

    async def retry_dead_letters(self, node: Node) -> None:
        for message in await node.store.read(dead):
            await dead_letters.retry(node, message.id)

    async def end_everything(self, node: Node) -> None:
        """End what has not ended, so that every process has to come to its end."""
        contracts, transfers = await node.store.read(running)
        for contract in contracts:
            await self._end(negotiate.act(node, contract.id, terminate("we are closing")))
        for moving in transfers:
            done = moving.process.state is Running.STARTED and self.chance.random() < 0.5
            wish = Decision(Act.COMPLETE) if done else terminate("we are closing")
            await self._end(transfer.act(node, moving.id, wish))

    @staticmethod
    async def _end(work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except ConnectorError:
            return  # its own end, or the peer's, is under way


def dead(tx: Tx) -> list[Outgoing]:
    return tx.outbox.query(replace(_LATEST, criteria=(Criterion("dead", "=", right=True),)))


def running(tx: Tx) -> tuple[list[Negotiation], list[Transfer]]:
    every = QuerySpec(limit=1000)
    return (
        [n for n in tx.negotiations.query(every) if not n.process.over],
        [t for t in tx.transfers.query(every) if not t.process.over],
    )
