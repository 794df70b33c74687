"""What becomes of a message when the network or the peer does its worst (`connector.exchange.delivery`)."""

import asyncio
import json
from typing import Any, Final

import pytest
from multidict import CIMultiDict

from connector.exchange import dead_letters, negotiate, transfer
from connector.exchange.delivery import ATTEMPTS, BUSY_ATTEMPTS, LONGEST_MS, backoff_ms
from connector.exchange.records import CallbackAddress, Outgoing, Secret
from connector.exchange.strategy import Act, Decision, Manual, terminate
from connector.exchange.trace import trace_of
from connector.protocol.errors import Conflict, Invalid, LocalError, NotFound, Unreachable
from connector.protocol.negotiation import State
from connector.protocol.vocabulary import EDC, HTTP_PULL
from tests.integration.exchange_world import CONSUMER, PROVIDER, Request, Said, World, world

ALL = (
    "ContractRequestMessage",
    "ContractAgreementMessage",
    "ContractAgreementVerificationMessage",
    "ContractNegotiationEventMessage",
)
AGREE = Decision(Act.AGREE)


async def states(w: World) -> tuple[State | None, State | None]:
    return (await w.consumer.negotiation()).process.state, (await w.provider.negotiation()).process.state


async def concluded(w: World, *, once: bool = True) -> None:
    """The exchange has come to its end, each side once, nothing left over."""
    await w.deliver_all()
    assert await states(w) == (State.FINALIZED, State.FINALIZED)
    for side in (w.consumer, w.provider):
        assert await side.every("outbox") == []
        if once:
            assert len(await side.every("negotiations")) == len(await side.every("agreements")) == 1


class TestOutcomes:
    @pytest.mark.parametrize("kind", ALL)
    @pytest.mark.parametrize("what", ["lost", "unanswered", 503, 500, 429, 408, 409, 404])
    async def test_a_message_that_meets_trouble_is_sent_again(self, kind: str, what: int | str) -> None:
        if (kind, what) == ("ContractRequestMessage", 404):
            return  # the one place where 404 is an answer: see the next test
        async with world() as w:
            await w.offer()
            w.fault(kind, what, what)
            await w.request()
            await concluded(w)
            keys = {request.body["@id"] for request in w.log if request.kind == kind}
            assert len(keys) == 1, "a retry has the same @id"

    async def test_404_to_a_first_message_says_that_there_is_no_such_offer(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", 404)
            await w.request()
            assert (await w.consumer.negotiation()).process.state is State.TERMINATED

    @pytest.mark.parametrize("kind", ALL)
    @pytest.mark.parametrize("status", [400, 401, 403, 422])
    async def test_a_refusal_is_final(self, kind: str, status: int) -> None:
        async with world() as w:
            await w.offer()
            w.fault(kind, status)
            await w.request()
            await w.deliver_all()
            sender = w.consumer if kind in (ALL[0], ALL[2]) else w.provider
            assert (await sender.negotiation()).process.state is State.TERMINATED
            assert f"was refused: {status}: scripted" in ((await sender.negotiation()).error or "")
            assert await w.consumer.every("outbox") == await w.provider.every("outbox") == []

    async def test_a_refused_termination_ends_it_all_the_same(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            w.fault("ContractNegotiationTerminationMessage", 400)
            await negotiate.act(w.consumer.node, record.id, terminate())
            await w.quiet()
            assert (await w.consumer.negotiation(record.id)).process.state is State.TERMINATED

    async def test_409_where_the_peer_has_taken_it_counts_as_taken(self) -> None:
        async with world(consumer={"negotiations": Manual()}) as w:
            await w.offer()

            async def busy(request: Request) -> Said | None:
                if request.kind != "ContractAgreementMessage":
                    return None
                await w.pass_on(request)
                return Said(409)

            w.faults.append(busy)
            await w.request()
            assert await states(w) == (State.AGREED, State.AGREED)
            assert w.sent().count("ContractAgreementMessage") == 1

    @pytest.mark.parametrize("shown", [Said(500), Said(200, b"<html>"), Said(200, b'{"@type": "Nothing"}')])
    async def test_409_with_a_state_that_cannot_be_read_is_tried_again(self, shown: Said) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractAgreementMessage", 409)

            async def show(request: Request) -> Said | None:
                return shown if "/negotiations/" in request.url and request.method == "GET" else None

            w.faults.append(show)
            await w.request()
            await concluded(w)

    @pytest.mark.parametrize(("told", "waits"), [("7", 7000), ("999999999999", LONGEST_MS), ("soon", 250), ("-1", 250)])
    async def test_a_peer_that_says_when_to_come_again_is_left_alone_until_then(self, told: str, waits: int) -> None:
        async with world() as w:
            await w.offer()

            async def full(request: Request) -> Said | None:
                if request.kind != "ContractRequestMessage":
                    return None
                w.faults.remove(full)
                return Said(429, headers=CIMultiDict({"Retry-After": told}))

            w.faults.append(full)
            await w.request()
            (message,) = await w.consumer.every("outbox")
            assert waits / 2 <= message.due_at - w.clock.now() <= waits
            await concluded(w)

    async def test_busy_is_not_believed_forever(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractAgreementMessage", *[404] * BUSY_ATTEMPTS)
            await w.request()
            await w.deliver_all()
            assert w.sent().count("ContractAgreementMessage") == BUSY_ATTEMPTS
            assert (await w.provider.negotiation()).process.state is State.TERMINATED

    async def test_the_peers_pid_is_escaped_when_its_state_is_asked_for(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            acknowledgement = {"@type": "ContractNegotiation", "providerPid": "a/b?c", "state": "REQUESTED"}

            async def answer(request: Request) -> Said | None:
                if request.kind == "ContractRequestMessage":
                    doc = acknowledgement | {"consumerPid": request.body["consumerPid"]}
                    return Said(201, json.dumps(doc).encode())
                return Said(409) if request.method == "POST" else Said(404)

            offer = await w.found()
            w.faults.append(answer)
            record = await w.request(offer)
            await negotiate.act(w.consumer.node, record.id, terminate())
            await w.quiet()
            assert w.log[-1].url == "http://provider.test/2025-1/negotiations/a%2Fb%3Fc"

    async def test_an_acknowledgement_that_cannot_be_read_is_asked_for_again(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            w.fault("ContractRequestMessage", "garbage")
            await w.request()
            await w.deliver_all()
            assert await states(w) == (State.REQUESTED, State.REQUESTED)
            assert len(await w.provider.every("negotiations")) == 1

    async def test_a_callback_before_the_acknowledgement_tells_the_peers_pid(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", *["unanswered"] * 5)
            await w.request()
            assert w.sent().count("ContractRequestMessage") == 1
            await concluded(w)
            ours = [entry.what for entry in (await w.consumer.negotiation()).history]
            assert ours == ["initiated", "we:REQUEST", "peer:AGREE", "we:VERIFY", "peer:FINALIZE"]

    async def test_a_peer_that_answers_after_we_have_given_up_is_told(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()

            async def slowly(request: Request) -> Said | None:
                if request.kind != "ContractRequestMessage":
                    return None
                said = await w.pass_on(request)
                ours = await w.consumer.negotiation()
                await negotiate.act(w.consumer.node, ours.id, terminate("too slow"))
                return said

            offer = await w.found()
            w.faults.append(lambda request: w.work.on(slowly(request)))
            await w.request(offer)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            ours, theirs = await w.consumer.negotiation(), await w.provider.negotiation()
            assert [entry.what for entry in ours.history][-2:] == ["abandoned", "left"]
            assert (ours.peer_pid, theirs.error) == (theirs.id, "terminated by the counterparty: too slow")
            assert await w.consumer.every("outbox") == []

    async def test_a_provider_of_data_that_answers_after_we_have_given_up_is_told(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:

            async def slowly(request: Request) -> Said | None:
                if request.kind != "TransferRequestMessage":
                    return None
                said = await w.pass_on(request)
                ours = await w.consumer.transfer()
                await transfer.act(w.consumer.node, ours.id, terminate("too slow"))
                return said

            agreement = await w.agreed()
            w.faults.append(lambda request: w.work.on(slowly(request)))
            await w.transfer(agreement)
            ours, theirs = await w.consumer.transfer(), await w.provider.transfer()
            assert (ours.process.over, theirs.process.over) == (True, True)
            assert theirs.error == "by the counterparty: too slow"

    async def test_whoever_has_gone_on_meanwhile_is_not_told_of_an_end(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", "unanswered")
            await w.request()
            await concluded(w)
            assert "ContractNegotiationTerminationMessage" not in w.sent()

    async def test_two_processes_cannot_have_one_pid(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            first = await w.request()
            pid = (await w.consumer.negotiation(first.id)).peer_pid

            async def same(request: Request) -> Said | None:
                if request.kind != "ContractRequestMessage":
                    return None
                doc = {"@type": "ContractNegotiation", "consumerPid": "x", "providerPid": pid, "state": "REQUESTED"}
                return Said(201, json.dumps(doc).encode())

            offer = await w.found()
            w.faults.append(same)
            second = await w.request(offer)
            ours = await w.consumer.negotiation(second.id)
            assert ours.process.state is State.TERMINATED
            assert "belongs to another process" in (ours.error or "")

    async def test_trouble_of_our_own_is_no_refusal(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractAgreementMessage", LocalError("the disk is full"), Unreachable("no network"))
            await w.request()
            await concluded(w)

    async def test_what_cannot_be_sent_at_all_is_final(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", Invalid("this address cannot be called"))
            await w.request()
            ours = await w.consumer.negotiation()
            assert ours.process.state is State.TERMINATED
            assert "this address cannot be called" in (ours.error or "")


class TestBackOff:
    def test_it_doubles_up_to_a_limit_and_spreads_over_the_upper_half(self) -> None:
        assert [backoff_ms(n, 0.0) for n in (1, 2, 3, 4)] == [125, 250, 500, 1000]
        assert backoff_ms(1, 0.999) == 249
        assert backoff_ms(1000, 0.0) == LONGEST_MS // 2

    async def test_a_message_waits_for_its_time_and_not_longer(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", "lost")
            await w.request()
            await w.pass_time(124)
            assert w.sent() == ["ContractRequestMessage"]
            await w.pass_time(1)
            assert await states(w) == (State.FINALIZED, State.FINALIZED)


class TestDeadLetters:
    async def dead(self, w: World) -> Outgoing:
        await w.offer()
        w.fault("ContractRequestMessage", *["lost"] * ATTEMPTS)
        await w.request()
        await w.deliver_all()
        (letter,) = await w.consumer.dead()
        return letter

    async def test_what_cannot_be_delivered_is_kept_and_shown(self) -> None:
        async with world() as w:
            letter = await self.dead(w)
            assert (letter.attempts, letter.last_error) == (ATTEMPTS, "lost")
            ours = await w.consumer.negotiation()
            assert ours.error == f"given up after {ATTEMPTS} attempts: lost"
            assert ours.process.pending is not None

    async def test_it_is_sent_again_when_an_operator_says_so(self) -> None:
        async with world() as w:
            letter = await self.dead(w)
            await dead_letters.retry(w.consumer.node, letter.id)
            await concluded(w)
            assert (await w.consumer.negotiation()).error is None
            with pytest.raises(NotFound):
                await dead_letters.retry(w.consumer.node, letter.id)

    async def test_one_that_is_still_being_tried_is_not_sent_twice(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", "lost")
            await w.request()
            (message,) = await w.consumer.every("outbox")
            with pytest.raises(Conflict, match="not given up"):
                await dead_letters.retry(w.consumer.node, message.id)

    async def test_it_is_not_sent_after_a_restart(self) -> None:
        async with world() as w:
            await self.dead(w)
            sent = len(w.sent())
            w.consumer.engine.dispatcher.add(())
            await w.pass_time(10 * LONGEST_MS)
            assert len(w.sent()) == sent

    async def test_a_transfer_shows_its_dead_letter_as_well(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            w.fault("TransferRequestMessage", *["lost"] * ATTEMPTS)
            await w.transfer(agreement)
            await w.deliver_all()
            assert "given up" in ((await w.consumer.transfer()).error or "")


class TestCallbacks:
    HOOK = CallbackAddress("http://erp.test/hook", ("contract.negotiation", "transfer.process"))

    async def test_every_step_is_told_in_order_in_the_form_of_edc(self) -> None:
        async with world() as w:
            await w.offer()
            record = await w.request(callbacks=(self.HOOK,))
            got = [doc for _, _, doc in w.consumer.hooks.got]
            assert [doc["type"] for doc in got] == [
                f"ContractNegotiation{verb}" for verb in ("Initiated", "Requested", "Agreed", "Verified", "Finalized")
            ]
            traces = {headers["traceparent"].split("-")[1] for _, headers, _ in w.consumer.hooks.got}
            assert traces == {trace_of(CONSUMER, record)}  # the operator's own systems can follow it as well
            last = got[-1]
            assert (last["at"], len({doc["id"] for doc in got})) == (w.clock.now(), 5)
            assert last["payload"] == {
                "contractNegotiationId": record.id,
                "counterPartyAddress": "http://provider.test/2025-1",
                "counterPartyId": PROVIDER,
                "protocol": "dataspace-protocol-http:2025-1",
                "assetId": "battery",
                "contractAgreementId": (await w.consumer.every("agreements"))[0].id,
                "lastContractOffer": {"id": record.offer.id, "assetId": "battery"},
                "callbackAddresses": [{"uri": self.HOOK.uri, "events": list(self.HOOK.events), "transactional": False}],
            }

    async def test_a_started_pull_is_told_with_its_address(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            await w.transfer(agreement, callbacks=(self.HOOK,))
            started = [doc for _, _, doc in w.consumer.hooks.got if doc["type"] == "TransferProcessStarted"]
            properties: dict[str, Any] = started[0]["payload"]["dataAddress"]["properties"]
            assert properties[f"{EDC}endpoint"] == "http://data.test/public"
            assert properties[f"{EDC}authorization"] == "token-1"
            assert started[0]["payload"]["contractId"] == agreement

    async def test_a_step_that_only_the_next_message_proves_is_told_too(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", "unanswered")
            await w.request(callbacks=(self.HOOK,))
            assert [doc["type"] for _, _, doc in w.consumer.hooks.got][:3] == [
                *("ContractNegotiationInitiated", "ContractNegotiationRequested", "ContractNegotiationAgreed")
            ]

    async def test_only_what_was_asked_for_is_told(self) -> None:
        hook = CallbackAddress("http://erp.test", ("contract.negotiation.finalized",))
        async with world() as w:
            await w.offer()
            await w.request(callbacks=(hook,))
            assert [doc["type"] for _, _, doc in w.consumer.hooks.got] == ["ContractNegotiationFinalized"]

    async def test_the_nodes_own_callbacks_are_told_of_everything(self) -> None:
        async with world(provider={"callbacks": (self.HOOK,)}) as w:
            await w.transfer(await w.agreed())
            kinds = [doc["type"] for _, _, doc in w.provider.hooks.got]
            assert kinds[0] == "ContractNegotiationRequested"
            assert kinds[-1] == "TransferProcessStarted"
            assert all("dataAddress" not in doc["payload"] for _, _, doc in w.provider.hooks.got)

    async def test_it_carries_the_secret_that_was_named(self) -> None:
        hook = CallbackAddress("http://erp.test", ("contract",), auth_key="X-Key", auth_code_id="erp")
        async with world() as w:
            await w.offer()
            await w.consumer.store.run(lambda tx: tx.secrets.add(Secret("erp", 0, "s3cret")))
            await w.request(callbacks=(hook,))
            assert {headers["X-Key"] for _, headers, _ in w.consumer.hooks.got} == {"s3cret"}

    async def test_trouble_delays_callbacks_and_keeps_their_order(self) -> None:
        async with world() as w:
            await w.offer()
            w.consumer.hooks.answers = [500, 404, 200, 503]
            await w.request(callbacks=(self.HOOK,))
            await w.deliver_all()
            assert [doc["type"] for _, _, doc in w.consumer.hooks.got][-1] == "ContractNegotiationFinalized"
            assert await w.consumer.every("outbox") == []

    async def test_one_system_that_is_down_does_not_hold_back_the_other(self) -> None:
        down = CallbackAddress("http://down.test", ("contract",))
        async with world() as w:
            await w.offer()
            w.consumer.hooks.answers = [503]
            await w.request(callbacks=(down, self.HOOK))
            assert [url for url, _, _ in w.consumer.hooks.got] == [self.HOOK.uri] * 5

    async def test_a_callback_that_is_refused_becomes_a_dead_letter(self) -> None:
        async with world() as w:
            await w.offer()
            w.consumer.hooks.answers = [400]
            await w.request(callbacks=(self.HOOK,))
            (letter,) = await w.consumer.dead()
            assert (letter.kind, letter.event) == ("callback", "ContractNegotiationInitiated")
            await dead_letters.retry(w.consumer.node, letter.id)
            await w.quiet()
            assert len(w.consumer.hooks.got) == 5


class TestCrash:
    """A node dies at any moment, another process takes over its database, and the exchange comes to its end once."""

    STEPS: Final = {"transaction": 8, "request": 4}
    """More than an exchange has on either side."""

    @pytest.mark.parametrize("who", [CONSUMER, PROVIDER])
    @pytest.mark.parametrize("after", [False, True])
    @pytest.mark.parametrize("boundary", ["transaction", "request"])
    async def test_the_exchange_is_completed_exactly_once(
        self, who: str, boundary: str, *, after: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        crashes = 0
        for step in range(1, self.STEPS[boundary] + 1):
            async with world(tmp_path_factory.mktemp("node")) as w:
                await w.offer()
                offer = await w.found()
                side = w.sides[who]
                side.store.transactions = 0
                wire: Any = side.node.wire
                wire.requests = 0
                setattr(side.crash, boundary, step)
                side.crash.after = after
                contract = negotiate.Contract(w.peer, offer, transfer_format=HTTP_PULL)
                await self._begin(w, contract)
                await w.pass_time(2000)
                if side.crash.happened.is_set():
                    crashes += 1
                    await w.restart(who)
                if await w.consumer.every("negotiations") == []:
                    await negotiate.request(w.consumer.node, contract)  # its caller never heard that it was taken
                await w.deliver_all()
                await concluded(w)
                assert [len(await s.every("transfers")) for s in (w.consumer, w.provider)] == [1, 1]
                states = [(await s.transfer()).process.state for s in (w.consumer, w.provider)]
                assert states == ["STARTED", "STARTED"], (who, boundary, step, after)
                references = [edr.address["authorization"] for edr in await w.consumer.every("edrs")]
                assert references == [grant.refresh_token for grant in await w.provider.every("grants")]
        assert 3 <= crashes < self.STEPS[boundary]

    @staticmethod
    async def _begin(w: World, contract: negotiate.Contract) -> None:
        """Ask for it; a node that dies over it does not answer."""
        asking = asyncio.ensure_future(negotiate.request(w.consumer.node, contract))
        dying = asyncio.ensure_future(w.consumer.crash.happened.wait())
        await asyncio.wait({asking, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in (asking, dying):
            task.cancel()
        await asyncio.gather(asking, dying, return_exceptions=True)


class TestRecovery:
    async def test_a_restarted_node_takes_up_messages_and_timers(
        self, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        async with world(tmp_path_factory.mktemp("node"), provider={"transfers": Manual()}) as w:
            agreement = await w.agreed()
            w.fault("TransferRequestMessage", "lost")
            await w.transfer(agreement)
            await w.restart(CONSUMER)
            await w.deliver_all()
            assert [str((await s.transfer()).process.state) for s in (w.consumer, w.provider)] == ["REQUESTED"] * 2

    async def test_an_idle_node_asks_its_database_for_nothing(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            before = [side.store.inner.statements for side in (w.consumer, w.provider)]
            await w.pass_time(86_400_000)
            assert [side.store.inner.statements for side in (w.consumer, w.provider)] == before

    async def test_waiting_for_a_state_returns_when_it_is_reached(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()

            async def over() -> bool:
                return (await w.consumer.negotiation(record.id)).process.over

            waiting = asyncio.ensure_future(w.consumer.engine.wait_until(record.id, over, 60))

            await w.quiet()
            assert not waiting.done()
            await negotiate.act(w.provider.node, (await w.provider.negotiation()).id, terminate())
            await waiting
            assert await over()

    async def test_waiting_ends_with_the_time(self) -> None:
        async with world() as w:

            async def never() -> bool:
                return False

            await w.consumer.engine.wait_until("x", never, 0.001)

    async def test_an_operator_ends_a_transfer_whose_peer_is_gone(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            await w.transfer(agreement)
            w.provider.crash.happened.set()
            await transfer.act(w.consumer.node, (await w.consumer.transfer()).id, terminate())
            await w.pass_time(1000)
            ours = await w.consumer.transfer()
            assert ours.process.pending is not None
            assert await w.consumer.every("edrs") == []
