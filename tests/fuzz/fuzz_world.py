"""What the fuzzing shares: a node on a thread of its own, things on it worth attacking, and the proof that it survived.

The generators (schemathesis, hypothesis) are synchronous, so the node lives on the event loop of another thread and is
talked to over loopback. `FUZZ_EXAMPLES` says how many examples each test may try: `make fuzz` sets it, and prints the
seed that repeats the run. Without it few are tried, always the same ones, as a part of `make test`.
"""

import asyncio
import logging
import os
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

from aiohttp import ClientSession, web
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import HealthCheck, Phase, settings
from structlog.testing import capture_logs
from typing_extensions import override

from connector.config import parse
from connector.exchange import publish
from connector.exchange import records as r
from connector.exchange.query import QuerySpec
from connector.wiring import DATABASE, start
from tests.fuzz.soundness import faults_of_database, faults_of_records
from tests.integration.dsp_world import KEY, THEM, US, Peer, World, message
from tests.integration.dsp_world import settings as node_settings

T = TypeVar("T")
S = TypeVar("S")
EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0 in `make test`."""
PATIENCE_S: Final = 5.0
"""An answer that takes longer is a hang."""


def bounded(share: float = 1.0, *, few: int = 3) -> settings:
    """How long a test may try: `share` of the examples that were asked for, or a `few` fixed ones in `make test`.

    What fails is not made smaller: each attempt may take `PATIENCE_S`, and a run has to end.
    """
    return settings(
        max_examples=max(1, int(EXAMPLES * share)) if EXAMPLES else few,
        derandomize=not EXAMPLES,
        deadline=None,
        phases=[phase for phase in Phase if phase is not Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


class Counterparty(Peer):
    """A peer that also survives messages which no counterparty expects, such as events for a callback."""

    @override
    async def _take(self, request: web.Request) -> web.Response:
        try:
            return await super()._take(request)
        except (KeyError, TypeError, ValueError):
            return web.json_response({"unexpected": True}, status=400)


Known = Mapping[str, str]
"""Names of things that exist, by what the generators call them; see `FuzzedNode._stock`."""


class Fuzzed(ABC, Generic[S]):
    """Programs of ours on the loop of another thread; S is what a test finds there.

    `surprises` are the faults that they have logged since the last look.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fuzzed", daemon=True)
        self._stack = ExitStack()
        self._async_stack = AsyncExitStack()
        self._surprises: list[str] = []
        self._count = 0

    def __enter__(self) -> Self:
        self._logs = self._stack.enter_context(capture_logs())
        self._stack.enter_context(_listening(self._surprises))
        self._loop.set_exception_handler(lambda _, context: self._surprises.append(repr(context)))
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._async_stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._stack.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the programs' loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    @abstractmethod
    async def _start(self) -> None:
        """Start everything, to be ended by `_async_stack`."""

    @abstractmethod
    async def _stock(self, stack: AsyncExitStack) -> S:
        """Put things there that are worth attacking, for one test, to be taken away by `stack`."""

    @abstractmethod
    def assert_sound(self) -> None:
        """What was attacked has nothing to complain of, its records fit together, and it still does its work."""

    @contextmanager
    def stocked(self) -> Iterator[S]:
        """Fresh things for a test, with a counterparty of their own."""
        stack = AsyncExitStack()
        try:
            self._count += 1
            yield self.run(self._stock(stack))
        finally:
            self.run(stack.aclose())

    def surprises(self) -> list[str]:
        """Take what was logged as a failure, escaped a task or was complained about by the server."""
        found, logs = list(self._surprises), list(self._logs)
        del self._surprises[: len(found)], self._logs[: len(logs)]
        return found + [_told(entry) for entry in logs if entry["log_level"] in ("error", "critical")]


class FuzzedNode(Fuzzed[Known]):
    """A node with the mock identity, and a counterparty."""

    world: World

    @property
    def management(self) -> str:
        """The URL of the management API."""
        return f"{self.world.running.management.url}/management"

    @property
    def public(self) -> str:
        """The root of the listener for strangers."""
        return self.world.running.public.url

    @override
    async def _start(self) -> None:
        enter = self._async_stack.enter_async_context
        running = await enter(start(parse(node_settings(self._folder), {"KEY": KEY})))
        peer, session = await enter(Counterparty()), await enter(ClientSession())
        self.world = World(running, session, peer)

    @override
    async def _stock(self, stack: AsyncExitStack) -> Known:
        """An asset, and processes of both roles."""
        number = self._count
        asset = f"asset-{number}"
        world = await stack.enter_async_context(self._beside())
        negotiation, agreement = await world.as_provider(f"cp-{number}", asset)
        transfer, begun = await world.started(agreement, f"ct-{number}")
        token = next(p["value"] for p in begun.doc["dataAddress"]["endpointProperties"] if p["name"] == "authorization")
        offers = (await world.get(f"/catalog/datasets/{asset}")).doc["hasPolicy"]
        asked = await world.ask_for(offer=f"their-offer-{number}")
        contract, owned = await world.as_consumer()
        pull = await world.pull(owned)
        return {
            "asset": asset,
            "policy": f"terms-{asset}",
            "definition": f"def-{asset}",
            "offer": offers[0]["@id"],
            "negotiation": negotiation,
            "agreement": agreement,
            "transfer": transfer,
            "token": token,
            "asked": asked,
            "contract": contract,
            "negotiation's": f"cp-{number}",
            "transfer's": f"ct-{number}",
            "asked's": f"pp-{asked}",
            "contract's": f"pp-{contract}",
            "pull's": f"pp-{pull}",
            "owned": owned,
            "pull": pull,
            "address": self.world.peer.address,
            "us": US,
            "them": THEM,
        }

    @asynccontextmanager
    async def _beside(self) -> Any:  # noqa: ANN401 - mypy infers it
        """The same node with a counterparty and a session that no other test has used."""
        async with Counterparty() as peer, ClientSession() as session:
            yield World(self.world.running, session, peer)

    @override
    def assert_sound(self) -> None:
        assert self.surprises() == []
        self.run(self._exchange())
        assert self.surprises() == []
        faults = self.run(self.world.running.node.store.read(faults_of_records))
        assert not faults, "\n".join(faults)
        assert faults_of_database(self._folder / DATABASE) == []

    async def _exchange(self) -> None:
        """As provider and as consumer from the first message to the data, beside all that the fuzzing left behind."""
        store = self.world.running.node.store
        for definition in await store.read(lambda tx: tx.definitions.query(QuerySpec(limit=10_000))):
            await publish.remove_definition(self.world.running.node, definition.id)
        async with self._beside() as world:
            _, agreement = await world.as_provider("cp-last", "asset-last")
            world.peer.pages["/data"] = {"still": "here"}
            address = {"type": "HttpData", "baseUrl": f"{world.peer.root}/data"}
            await publish.change_asset(world.running.node, r.Asset("asset-last", 0, {}, {}, address))
            _, begun = await world.started(agreement, "ct-last")
            properties = {p["name"]: p["value"] for p in begun.doc["dataAddress"]["endpointProperties"]}
            token = {"Authorization": properties["authorization"]}
            async with world.session.get(f"{self.public}/public", headers=token) as answer:
                assert (answer.status, await answer.json()) == (200, {"still": "here"})
            catalog = await world.post("/catalog/request", message("CatalogRequestMessage"))
            assert [dataset["@id"] for dataset in catalog.doc["dataset"]] == ["asset-last"]
            _, owned = await world.as_consumer()
            await world.pull(owned)


def _told(entry: Mapping[str, Any]) -> str:
    """A log entry, with the traceback of what caused it."""
    error = entry.get("exc_info")
    if not isinstance(error, BaseException):
        return repr(entry)
    return f"{entry}\n{''.join(traceback.format_exception(error))}"


@contextmanager
def _listening(to: list[str]) -> Iterator[None]:
    """Collect what asyncio and the server log as an error."""

    class Collector(logging.Handler):
        @override
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            if not isinstance(error, ConnectionError | HttpProcessingError):  # a stranger left, or spoke no HTTP
                to.append(self.format(record))

    collector = Collector(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("asyncio", "aiohttp.server")]
    for logger in loggers:
        logger.addHandler(collector)
    yield
    for logger in loggers:
        logger.removeHandler(collector)
