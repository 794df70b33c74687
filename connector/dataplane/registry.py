"""The registry of digital twins as an asset: partners ask it with the token of a pull, each sees what it may see.

Who asks is what the agreement and the directory say (`Reader`); header fields by which a consumer names itself mean
nothing here. Every request reads the registry as it is then, and by what the consumer has proven of itself until then:
nothing of either is part of what an access remembers.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson
from multidict import CIMultiDict
from typing_extensions import override

from connector.dataplane.source import Ask, Content, Prepared, Reader, Source
from connector.exchange.ports import Clock, Identity, Store, Tx
from connector.exchange.records import Asset
from connector.exchange.twin_readers import reader_of
from connector.exchange.twins import carry_out
from connector.http.body import parse_json
from connector.protocol.errors import PeerError
from connector.twins.calls import Reply, read_call, refusal

MAX_BODY: Final = 64 << 10
"""Bytes of a search."""


class RegistrySource(Source):
    """Assets of the type TwinRegistry; there is one registry in a node, whatever asset leads to it."""

    def __init__(self, store: Store, clock: Clock, identity: Identity) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        consumer = tx.agreements.get(reader.agreement_id).consumer_id
        return Prepared(_Registry(self._store, self._clock, self._identity, consumer, reader.bpn).open)


@dataclass(frozen=True, slots=True)
class _Registry:
    """The registry for one consumer."""

    store: Store
    clock: Clock
    identity: Identity
    consumer: str
    bpn: str | None

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """Answer one call."""
        return self._answered(ask)

    @asynccontextmanager
    async def _answered(self, ask: Ask) -> AsyncIterator[Content]:
        try:
            reply = await self._reply(ask)
        except PeerError as error:
            reply = refusal(error, self.clock.now())
        fields = CIMultiDict({"Content-Type": "application/json", "Cache-Control": "no-store"})
        yield Content(reply.status, fields, body=orjson.dumps(reply.doc))

    async def _reply(self, ask: Ask) -> Reply:
        body = parse_json(await _whole(ask))
        call = read_call(ask.method, ask.path, ask.query, body, owner=False)
        credentials = await self.identity.shown(self.consumer)

        def read(tx: Tx) -> Reply:
            now = self.clock.now()
            return carry_out(tx, call, reader_of(tx, self.consumer, self.bpn, credentials, now), now)

        return await self.store.read(read)


async def _whole(ask: Ask) -> bytes:
    """What the consumer sends, up to a bound."""
    body = bytearray()
    if ask.body is not None:
        async for chunk in ask.body():
            body += chunk
            if len(body) > MAX_BODY:
                raise PeerError(413, f"a search has at most {MAX_BODY} bytes")
    return bytes(body)
