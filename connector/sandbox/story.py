"""The battery passport story: who gets what from whom, and who does not.

A cell maker publishes battery passports and a footprint for one OEM; its cathode supplier publishes a footprint for
the cell maker. The OEM gets the data under contracts and verifies it. Whoever the access policy does not name sees
nothing and gets nothing, and data that is wrong is stopped: before it leaves, and when it arrives. At last one passport
is read by three, each of whom sees another part of it (`connector.sandbox.readers`).

Every promise is checked here (`hold`), not only shown. The nodes may be anybody's: all goes through their management
APIs, and everything is create-or-replace, so the story can be told again on the same nodes.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

from connector.client import ApiError, Client, Dataset, Provider, template
from connector.client.exchanging import reached
from connector.demo_data import PASSPORT_SEMANTIC_ID, tampered
from connector.exchange.query import Criterion, QuerySpec
from connector.exchange.twins import REGISTRY
from connector.protocol.errors import Invalid
from connector.sandbox.altered import Altered
from connector.sandbox.goods import Good, cathode_suppliers_good, cell_makers_goods, excerpt
from connector.sandbox.participants import CATHODE_SUPPLIER, CELL_MAKER, OEM, SECOND_OEM, Participant
from connector.sandbox.readers import READERS, Reading
from connector.sandbox.telling import Telling, hold
from connector.sandbox.trust import Authority

REFUSED = 400


class Story:
    """The story among `nodes`: oem, cell-maker, cathode-supplier, and perhaps oem-2, recycler and market-surveillance.

    A chapter for which something is missing is left out, and the telling says so.

    here: the nodes run on this machine, so that one of them can be given a data source of this process.
    authority: who has issued their credentials; with it the story ends with a membership that is revoked.
    """

    def __init__(
        self,
        nodes: Mapping[str, Participant],
        telling: Telling,
        *,
        here: bool,
        authority: Authority | None = None,
    ) -> None:
        missing = [c.name for c in (OEM, CELL_MAKER, CATHODE_SUPPLIER) if c.name not in nodes]
        if missing:
            raise Invalid(f"the story needs a node named {' and one named '.join(missing)}", "/nodes")
        self._nodes = nodes
        self._telling = telling
        self._here = here
        self._authority = authority
        self._clients: dict[str, Client] = {}
        self._goods = cell_makers_goods()
        self._offers: list[Dataset] = []

    async def tell(self) -> None:
        """Tell all chapters; whether they held stands in the telling."""
        async with AsyncExitStack() as stack:
            for name, node in self._nodes.items():
                self._clients[name] = await stack.enter_async_context(Client(node.management, node.api_key))
            chapters = [self._publish, self._refuse_mistake, self._supply, self._receive, self._see_nothing]
            for chapter in [*chapters, *self._further_chapters()]:
                await self._telling.chapter(chapter)

    def _further_chapters(self) -> Iterator[Callable[[], Awaitable[None]]]:
        """Those for which everything is there."""
        if self._here:
            yield self._alter
        else:
            self._telling.leave_out("data that changes at its source", "the nodes run elsewhere")
        if absent := [r.company.name for r in READERS if r.company.name not in self._nodes]:
            self._telling.leave_out("one passport, three readers", f"no node is named {' or '.join(absent)}")
        else:
            yield Reading(self._nodes, self._clients, self._telling).tell
        if (authority := self._authority) is not None:
            yield lambda: self._revoke(authority)
        else:
            self._telling.leave_out("a membership that ends", "no authority of ours has issued the nodes' credentials")

    def _title(self, name: str) -> str:
        return self._nodes[name].title

    def _provider(self, name: str) -> Provider:
        return Provider(self._nodes[name].did, self._nodes[name].dsp)

    async def _publish(self) -> None:
        maker, title = self._clients[CELL_MAKER.name], self._title(CELL_MAKER.name)
        for good in self._goods:
            with self._telling.step(title, f"publishes {good.kind} of {good.name}") as step:
                await _publish(maker, good)
                step.note("fits its aspect model; signed")
        bpn = self._nodes[OEM.name].bpn
        with self._telling.step(title, "offers them to one partner only", self._title(OEM.name)) as step:
            ids = [good.asset_id for good in self._goods]
            access, contract = template("by-bpn", [bpn]), template("by-bpn-until-date", [bpn])
            await maker.offer("story-cells", ids, access=access, contract=contract)
            step.note(f"access policy: {bpn}; contract policy: {bpn}, until 2030")

    async def _refuse_mistake(self) -> None:
        """A payload that does not fit its aspect model is refused, and the operator learns where."""
        payload, pointer = tampered()
        maker, title = self._clients[CELL_MAKER.name], self._title(CELL_MAKER.name)
        with self._telling.step(title, "publishes a passport with a mistake in it, and is refused") as step:
            wanted = f"/payload{pointer}"
            try:
                await maker.payloads.publish("passport-with-mistake", payload, semantic_id=PASSPORT_SEMANTIC_ID)
            except ApiError as error:
                hold(error.status == REFUSED, f"refused, but with the status {error.status}: {error}")
                hold(error.pointer == wanted, f"refused at {error.pointer}, but the mistake is at {wanted}")
                step.note(str(error))
            else:
                hold(False, "it was accepted")  # noqa: FBT003 - the promise is broken by having come here

    async def _supply(self) -> None:
        """One step up the chain: the cathode supplier's footprint goes to the cell maker."""
        good, title = cathode_suppliers_good(), self._title(CATHODE_SUPPLIER.name)
        supplier, bpn = self._clients[CATHODE_SUPPLIER.name], self._nodes[CELL_MAKER.name].bpn
        with self._telling.step(title, f"publishes {good.kind} of {good.name}", self._title(CELL_MAKER.name)) as step:
            await _publish(supplier, good)
            only = template("by-bpn", [bpn])
            await supplier.offer("story-cathode", [good.asset_id], access=only, contract=only)
            step.note(f"access policy: {bpn}")
        shown = await self._see(CELL_MAKER.name, CATHODE_SUPPLIER.name, [good])
        await self._obtain(CELL_MAKER.name, CATHODE_SUPPLIER.name, good, shown[0])

    async def _receive(self) -> None:
        """The OEM gets everything that was offered to it."""
        self._offers = await self._see(OEM.name, CELL_MAKER.name, self._goods)
        for good, dataset in zip(self._goods, self._offers, strict=True):
            await self._obtain(OEM.name, CELL_MAKER.name, good, dataset)

    async def _see(self, who: str, whom: str, goods: Sequence[Good]) -> list[Dataset]:
        """Ask for a catalog; the datasets of `goods`, which must be in it."""
        with self._telling.step(self._title(who), "asks for the catalog", self._title(whom)) as step:
            catalog = await self._clients[who].catalogs.request(self._provider(whom), QuerySpec(limit=500))
            hold(catalog.participant_id == self._nodes[whom].did, f"the catalog is {catalog.participant_id}'s")
            found = [dataset for good in goods if (dataset := catalog.dataset(good.asset_id)) is not None]
            hold(len(found) == len(goods), f"sees {len(found)} of the {len(goods)} datasets it is to see")
            step.note(f"sees {len(catalog.datasets)}: {', '.join(d.id for d in catalog.datasets)}")
            return found

    async def _obtain(self, who: str, whom: str, good: Good, dataset: Dataset) -> None:
        client, provider = self._clients[who], self._provider(whom)
        with self._telling.step(self._title(who), f"gets {good.asset_id} under a contract", self._title(whom)) as step:
            began = time.perf_counter()
            agreement_id = await client.agree(provider, dataset)
            agreed = time.perf_counter()
            transfer = await client.transfers.pull(agreement_id)
            reached(transfer, "STARTED")
            started = time.perf_counter()
            fetched = await client.transfers.fetch(transfer.id, semantic_id=good.semantic_id)
            came = time.perf_counter()
            await client.transfers.complete(transfer.id)
            step.note(
                f"contract {_ms(began, agreed)}, transfer {_ms(agreed, started)}, "
                f"data and verification {_ms(started, came)}"
            )
            verified = fetched.verified
            hold(verified is not None, "nothing was verified")
            for check in verified.checks if verified else ():
                step.note(f"{'ok' if check.ok else 'FAILED'}  {check.name}: {check.detail}")
            hold(verified and verified.ok, f"{good.asset_id} is not to be trusted")
            hold(fetched.payload == good.payload, "what came is not what was published")
            for name, text in excerpt(good.kind, fetched.payload).items():
                step.note(f"{name:12}  {text}")

    async def _see_nothing(self) -> None:
        """Whoever the access policy does not name sees nothing, and gets nothing by asking all the same."""
        for name in (SECOND_OEM.name, CATHODE_SUPPLIER.name):
            if name in self._nodes:
                await self._see_nothing_as(name)

    async def _see_nothing_as(self, name: str) -> None:
        client, provider = self._clients[name], self._provider(CELL_MAKER.name)
        who, whom = self._title(name), self._title(CELL_MAKER.name)
        with self._telling.step(who, "asks for the catalog and sees nothing", whom) as step:
            catalog = await client.catalogs.request(provider)
            seen = [dataset.id for dataset in catalog.datasets]
            hold(set(seen) <= {REGISTRY}, f"sees {', '.join(seen)}")
            step.note(f"0 datasets: no access policy names {self._nodes[name].bpn}")
            if seen:  # there since a passport was published, perhaps when the story was told before
                step.note("except the registry of twins: everybody may ask it, and finds what is meant for them")
        hold(self._offers, "there is no offer to try")
        with self._telling.step(
            who, "asks for a contract on an offer that it was told of, and is refused", whom
        ) as step:
            outcome = await client.negotiations.conclude(provider, self._offers[0].offers[0])
            hold(outcome.state == "TERMINATED" and outcome.agreement_id is None, f"the negotiation is {outcome.state}")
            step.note(f"TERMINATED: {outcome.error}")

    async def _alter(self) -> None:
        """Data that was changed behind its signature is noticed where it arrives."""
        good, title = self._goods[0], self._title(CELL_MAKER.name)
        maker, oem = self._clients[CELL_MAKER.name], self._clients[OEM.name]
        transfer_id = await oem.pull(await oem.agree(self._provider(CELL_MAKER.name), good.asset_id))
        async with Altered(await oem.edrs.address(transfer_id)) as altered:
            await oem.transfers.complete(transfer_id)
            with self._telling.step(
                title, "serves a passport whose data source changed a number after signing"
            ) as step:
                await maker.assets.put(altered.ASSET_ID, data_address={"type": "HttpData", "baseUrl": altered.url})
                only = template("by-bpn", [self._nodes[OEM.name].bpn])
                await maker.offer("story-altered", [altered.ASSET_ID], access=only, contract=only)
                step.note(altered.change)
            with self._telling.step(self._title(OEM.name), "gets it, and notices", title) as step:
                fetched = await oem.obtain(
                    self._provider(CELL_MAKER.name), altered.ASSET_ID, semantic_id=good.semantic_id
                )
                failed = {check.name: check.detail for check in fetched.verified.failed} if fetched.verified else {}
                hold({"digest", "signature"} <= failed.keys(), f"only these checks failed: {failed}")
                for name, detail in failed.items():
                    step.note(f"refused  {name}: {detail}")
            await maker.definitions.remove("story-altered")

    async def _revoke(self, authority: Authority) -> None:
        """Who is no member any more is not heard, and its partner can see why."""
        maker, oem, bpn = self._clients[CELL_MAKER.name], self._clients[OEM.name], self._nodes[CELL_MAKER.name].bpn
        who, whom = self._title(CELL_MAKER.name), self._title(OEM.name)
        with self._telling.step("The data space's authority", "ends the membership of the cell maker", who) as step:
            revoked = await authority.end_membership(bpn)
            hold(revoked, "it had no credentials that could be revoked")
            step.note(f"revoked: {', '.join(sorted(each['type'] for each in revoked))}")
        hold(self._offers, "there is no offer to try")
        with self._telling.step(who, "agrees to a contract that it is asked for, and is refused", whom) as step:
            asked = await oem.negotiations.start(self._provider(CELL_MAKER.name), self._offers[0].offers[0])
            await oem.negotiations.wait(asked, "REQUESTED")
            page = await maker.negotiations.query(QuerySpec(criteria=(Criterion("correlationId", "=", asked),)))
            hold(page.items, "the request has not come")
            ended = await maker.negotiations.wait(page.items[0].id, "TERMINATED")
            hold(ended.state == "TERMINATED", f"the negotiation is {ended.state}")
            step.note(f"{ended.state}: {ended.error}")
        with self._telling.step(whom, "sees in its timeline why it refused", who) as step:
            timeline = await oem.negotiations.timeline(asked)
            denied = [entry.detail for entry in timeline.history if entry.what == "denied"]
            hold(any("revoked" in detail for detail in denied), f"the timeline says: {denied or 'nothing'}")
            step.note(denied[0])


async def _publish(client: Client, good: Good) -> None:
    properties = {"name": good.name}
    await client.payloads.publish(good.asset_id, good.payload, semantic_id=good.semantic_id, properties=properties)


def _ms(began: float, ended: float) -> str:
    return f"{(ended - began) * 1000:.0f} ms"
