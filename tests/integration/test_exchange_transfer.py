"""Transfers between two nodes: pull, push, pausing, ending, and what an agreement opens (DSP 2025-1, clause 8)."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from connector.exchange import agreements, edrs, negotiate, transfer
from connector.exchange.moves import party_of
from connector.exchange.ports import Tx
from connector.exchange.query import Criterion
from connector.exchange.records import Transfer
from connector.exchange.states import transfer_state
from connector.exchange.strategy import Act, Decision, Manual, terminate
from connector.identity.directory import Directory
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.errors import Conflict, Invalid, NotFound, Unreachable
from connector.protocol.transfer import State
from connector.protocol.vocabulary import EDC, HTTP_PULL, HTTP_PUSH
from tests.integration.exchange_world import CONSUMER, PROVIDER, STRANGER, Said, Script, World, world

CONTEXT = ["https://w3id.org/dspace/2025/1/context.jsonld"]
START, SUSPEND, COMPLETE = Decision(Act.START), Decision(Act.SUSPEND), Decision(Act.COMPLETE)
DAY = 86_400_000
BPN = "BPNL0000000000C0"
DESTINATION = {"type": "HttpData", "baseUrl": "http://sink.test/in", "header:x": "1"}


async def states(w: World) -> tuple[State | None, State | None]:
    """The consumer's and the provider's."""
    return (await w.consumer.transfer()).process.state, (await w.provider.transfer()).process.state


async def act(w: World, who: str, decision: Decision) -> None:
    side = w.sides[who]
    await transfer.act(side.node, (await side.transfer()).id, decision)
    await w.quiet()


async def rights(w: World) -> tuple[list[str | None], list[str | None]]:
    """Tokens of the consumer's references and of the provider's grants."""
    references = [edr.address["authorization"] for edr in await w.consumer.every("edrs")]
    return references, [grant.refresh_token for grant in await w.provider.every("grants")]


def request_doc(agreement: str, **members: Any) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "TransferRequestMessage",
        "consumerPid": "c-1",
        "agreementId": agreement,
        "format": HTTP_PULL,
        "callbackAddress": "http://consumer.test/2025-1",
        **members,
    }


async def ask(w: World, sender: str, agreement: str, **members: Any) -> Said:
    doc = request_doc(agreement, **members)
    return await w.say(sender, "http://provider.test/2025-1/transfers/request", doc)


class TestPull:
    async def test_a_pull_starts_by_itself_with_a_token(self) -> None:
        async with world() as w:
            record = await w.transfer(await w.agreed())
            assert await states(w) == (State.STARTED, State.STARTED)
            edr = await edrs.data_address(w.consumer.node, record.id)
            assert (edr.id, edr.asset_id, edr.provider_id) == (record.id, "battery", PROVIDER)
            assert edr.address["endpoint"] == "http://data.test/public"
            assert await rights(w) == (["token-1"], ["token-1"])

    @pytest.mark.parametrize("who", [CONSUMER, PROVIDER])
    @pytest.mark.parametrize("decision", [SUSPEND, COMPLETE, terminate("done")])
    async def test_no_right_outlives_a_pause_or_an_end_by_either_side(self, who: str, decision: Decision) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            await act(w, who, decision)
            after = {"suspend": State.SUSPENDED, "complete": State.COMPLETED, "terminate": State.TERMINATED}
            assert await states(w) == (after[decision.act],) * 2
            assert await rights(w) == ([], [])

    async def test_data_stops_before_the_peer_has_answered(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            w.fault("TransferSuspensionMessage", "lost")
            await act(w, PROVIDER, SUSPEND)
            assert (await w.provider.transfer()).process.state is State.STARTED
            assert await w.provider.every("grants") == []

    async def test_a_provider_resumes_with_a_new_token(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            await act(w, PROVIDER, SUSPEND)
            await act(w, PROVIDER, START)
            assert await states(w) == (State.STARTED, State.STARTED)
            assert await rights(w) == (["token-2"], ["token-2"])

    async def test_a_consumer_resumes_and_the_provider_follows_with_a_new_token(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            await act(w, CONSUMER, SUSPEND)
            w.log.clear()
            await act(w, CONSUMER, START)
            assert w.sent() == ["TransferStartMessage", "TransferStartMessage"]
            assert "dataAddress" not in w.log[0].body
            assert await states(w) == (State.STARTED, State.STARTED)
            assert await rights(w) == (["token-2"], ["token-2"])

    async def test_both_sides_resume_at_once(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            await act(w, CONSUMER, SUSPEND)
            w.fault("TransferStartMessage", "lost", "lost")
            await act(w, CONSUMER, START)
            await act(w, PROVIDER, START)
            await w.deliver_all()
            assert await states(w) == (State.STARTED, State.STARTED)
            references, grants = await rights(w)
            assert references == grants
            assert len(grants) == 1

    async def test_a_suspension_and_a_new_start_that_cross_end_in_suspension(self) -> None:
        async with world(provider={"transfers": Script(REQUEST=START)}) as w:
            await w.transfer(await w.agreed())
            await act(w, CONSUMER, SUSPEND)
            await act(w, CONSUMER, START)
            w.fault("TransferStartMessage", "lost")
            w.fault("TransferSuspensionMessage", "lost")
            await act(w, PROVIDER, START)
            await act(w, CONSUMER, SUSPEND)
            await w.deliver_all()
            assert await states(w) == (State.SUSPENDED, State.SUSPENDED)
            assert await rights(w) == ([], [])

    async def test_a_second_start_leaves_the_first_opening_so_that_both_tokens_are_good(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            opened = w.clock.at
            await w.pass_time(5)
            await act(w, PROVIDER, START)
            assert await rights(w) == (["token-1"], ["token-1"])
            (grant,), (edr,) = await w.provider.every("grants"), await w.consumer.every("edrs")
            assert (grant.created_at, edr.created_at) == (opened, w.clock.at)  # tokens name their opening

    async def test_a_started_peer_that_refuses_a_second_start_stays_started_with_the_token_it_has(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            w.fault("TransferStartMessage", 400)
            await act(w, PROVIDER, START)
            theirs = await w.provider.transfer()
            assert (theirs.process.state, theirs.process.pending) == (State.STARTED, None)
            assert await rights(w) == (["token-1"], ["token-1"])

    async def test_a_transfer_is_shown_as_started_while_a_second_start_has_no_answer(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            w.fault("TransferStartMessage", "lost")
            await act(w, PROVIDER, START)
            theirs = (await w.provider.transfer()).process
            assert (theirs.pending is not None, transfer_state(theirs)) == (True, "STARTED")
            started = (Criterion("state", "=", "STARTED"),)
            assert await w.provider.store.read(lambda tx: tx.transfers.count(started)) == 1

    async def test_a_start_without_an_endpoint_is_taken_and_opens_nothing(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            ours = await w.transfer(await w.agreed())
            doc = {
                "@context": CONTEXT,
                "@type": "TransferStartMessage",
                "consumerPid": ours.id,
                "providerPid": (await w.provider.transfer()).id,
                "dataAddress": {"@type": "DataAddress", "endpointType": "https://w3id.org/idsa/v4.1/HTTP"},
            }
            answer = await w.say(PROVIDER, f"http://consumer.test/2025-1/transfers/{ours.id}/start", doc)
            assert answer.status == 200
            assert await w.consumer.every("edrs") == []

    async def test_the_life_of_a_token_is_counted_from_its_arrival(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            ours = await w.transfer(await w.agreed())
            address: dict[str, Any] = {
                "@type": "DataAddress",
                "endpointType": "HTTP",
                "endpoint": "http://data.test",
                "endpointProperties": [
                    {"@type": "EndpointProperty", "name": "authorization", "value": "t"},
                    {"@type": "EndpointProperty", "name": "https://w3id.org/tractusx/auth/expiresIn", "value": "300"},
                ],
            }
            doc = {
                "@context": CONTEXT,
                "@type": "TransferStartMessage",
                "consumerPid": ours.id,
                "providerPid": (await w.provider.transfer()).id,
                "dataAddress": address,
            }
            await w.say(PROVIDER, f"http://consumer.test/2025-1/transfers/{ours.id}/start", doc)
            edr = (await w.consumer.every("edrs"))[0]
            assert edr.expires_at == w.clock.now() + 300_000
            await edrs.forget(w.consumer.node, edr.id)
            with pytest.raises(NotFound):
                await edrs.refresh(w.consumer.node, edr.id)


class TestPush:
    async def test_a_push_is_sent_and_completed(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            await w.transfer(agreement, HTTP_PUSH, destination=DESTINATION)
            assert await states(w) == (State.COMPLETED, State.COMPLETED)
            theirs = await w.provider.transfer()
            assert w.provider.plane.pushed == [theirs.id]
            assert theirs.destination is not None
            assert theirs.destination["baseUrl"] == DESTINATION["baseUrl"]
            assert await rights(w) == ([], [])

    async def test_a_push_that_fails_is_repeated(self) -> None:
        async with world() as w:
            w.provider.plane.push_faults = [Unreachable("the sink is down")] * 3
            await w.transfer(await w.agreed(), HTTP_PUSH, destination=DESTINATION)
            assert await states(w) == (State.STARTED, State.STARTED)
            await w.deliver_all()
            assert await states(w) == (State.COMPLETED, State.COMPLETED)

    async def test_a_push_that_cannot_be_done_ends_the_transfer(self) -> None:
        async with world() as w:
            w.provider.plane.push_faults = [Invalid("no source knows this asset")]
            await w.transfer(await w.agreed(), HTTP_PUSH, destination=DESTINATION)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert (await w.consumer.transfer()).error == "by the counterparty: the push failed"

    async def test_a_long_push_does_not_hold_back_a_suspension(self) -> None:
        async with world() as w:
            w.provider.plane.push_gate = asyncio.Event()
            await w.transfer(await w.agreed(), HTTP_PUSH, destination=DESTINATION)
            await act(w, PROVIDER, SUSPEND)
            assert await states(w) == (State.SUSPENDED, State.SUSPENDED)
            w.provider.plane.push_gate.set()
            await w.deliver_all()
            assert await states(w) == (State.SUSPENDED, State.SUSPENDED)

    async def test_a_suspended_push_is_sent_when_it_is_resumed(self) -> None:
        async with world() as w:
            w.provider.plane.push_faults = [Unreachable("the sink is down")]
            await w.transfer(await w.agreed(), HTTP_PUSH, destination=DESTINATION)
            await act(w, CONSUMER, SUSPEND)
            await w.deliver_all()
            assert w.provider.plane.pushed == []
            await act(w, CONSUMER, START)
            await w.deliver_all()
            assert len(w.provider.plane.pushed) == 1
            assert await states(w) == (State.COMPLETED, State.COMPLETED)

    async def test_a_push_needs_to_know_where_to(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            with pytest.raises(Invalid) as refused:
                await w.transfer(agreement, HTTP_PUSH)
            assert refused.value.pointer == "/dataDestination/baseUrl"
            assert (await ask(w, CONSUMER, agreement, format=HTTP_PUSH)).status == 400

    async def test_a_push_goes_only_where_messages_may_go(self) -> None:
        async with world() as w:
            address = {"@type": "DataAddress", "endpointType": "x", "endpoint": "ftp://inside"}
            answer = await ask(w, CONSUMER, await w.agreed(), format=HTTP_PUSH, dataAddress=address)
            assert answer.status == 400


class TestWhatAnAgreementOpens:
    @pytest.mark.parametrize(
        ("sender", "agreement", "changes", "status"),
        [
            (STRANGER, "", {}, 404),
            (CONSUMER, "other", {}, 404),
            (CONSUMER, "", {"format": "AmazonS3-PULL"}, 400),
            (CONSUMER, "", {"callbackAddress": "ftp://x"}, 400),
        ],
    )
    async def test_its_own_asset_to_its_own_consumer(
        self, sender: str, agreement: str, changes: dict[str, Any], status: int
    ) -> None:
        async with world() as w:
            agreed = await w.agreed()
            assert (await ask(w, sender, agreement or agreed, **changes)).status == status
            assert await w.provider.every("transfers") == []

    async def test_nothing_before_it_is_final(self) -> None:
        async with world(consumer={"negotiations": Manual()}) as w:
            await w.offer()
            await w.request()
            agreement = (await w.provider.every("agreements"))[0].id
            assert (await ask(w, CONSUMER, agreement)).status == 400
            with pytest.raises(Conflict, match="not final"):
                await w.transfer(agreement)

    async def test_everything_as_soon_as_we_have_said_that_it_is_final(self) -> None:
        async with world() as w:
            w.fault("ContractNegotiationEventMessage", *["unanswered"] * 3)
            await w.offer()
            await w.request()
            agreement = (await w.consumer.every("agreements"))[0].id
            assert (await w.provider.negotiation()).process.pending is not None
            await w.transfer(agreement)
            assert await states(w) == (State.STARTED, State.STARTED)

    async def test_nothing_to_a_provider_of_ours(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            with pytest.raises(Conflict, match="not this node"):
                await transfer.request(w.provider.node, transfer.Order(agreement, HTTP_PULL))
            with pytest.raises(Invalid):
                await w.transfer(agreement, address="ftp://x")

    async def test_nothing_after_it_was_retired_and_the_running_ones_end(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            await w.transfer(agreement)
            ended = await agreements.retire(w.provider.node, agreement, "recalled")
            await w.quiet()
            assert ended == [(await w.provider.transfer()).id]
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert "recalled" in ((await w.consumer.transfer()).error or "")
            assert await rights(w) == ([], [])
            await w.transfer(agreement)
            assert (await w.consumer.transfer()).process.state is State.TERMINATED
            await agreements.reactivate(w.provider.node, agreement)
            await w.transfer(agreement)
            assert await states(w) == (State.STARTED, State.STARTED)

    async def test_retiring_is_the_providers_and_once(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            with pytest.raises(Conflict, match="only the provider"):
                await agreements.retire(w.consumer.node, agreement, "")
            with pytest.raises(Conflict, match="not retired"):
                await agreements.reactivate(w.provider.node, agreement)
            assert await agreements.retire(w.provider.node, agreement, "") == []
            with pytest.raises(Conflict, match="retired already"):
                await agreements.retire(w.provider.node, agreement, "")

    async def test_retiring_does_not_take_back_a_termination_on_its_way(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            await w.transfer(agreement)
            w.fault("TransferTerminationMessage", "lost")
            await act(w, PROVIDER, terminate("enough"))
            await agreements.retire(w.provider.node, agreement, "recalled")
            await w.deliver_all()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_a_repeated_request_opens_one_transfer(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            agreement = await w.agreed()
            first = await ask(w, CONSUMER, agreement, **{"@id": "m-1"})
            again = await ask(w, CONSUMER, agreement, **{"@id": "m-1"})
            fresh = await ask(w, CONSUMER, agreement, **{"@id": "m-2"})
            assert (first.status, first.body) == (201, again.body) == (201, fresh.body)
            other = await ask(w, CONSUMER, agreement, format=HTTP_PUSH, dataAddress=_sink(), **{"@id": "m-3"})
            assert other.status == 400
            assert len(await w.provider.every("transfers")) == 1


def _sink() -> dict[str, Any]:
    return {"@type": "DataAddress", "endpointType": f"{EDC}HttpData", "endpoint": "http://sink.test"}


class TestTheEndOfAnAgreement:
    UNTIL_TOMORROW = Policy((Rule("use", (Constraint("inForceDate", "lteq", "contractAgreement+1d"),)),))

    async def test_a_transfer_ends_at_the_exact_moment(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed(self.UNTIL_TOMORROW))
            await w.pass_time(DAY)
            assert await states(w) == (State.STARTED, State.STARTED)
            await w.pass_time(1)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert await rights(w) == ([], [])
            assert "inForceDate is not met" in ((await w.consumer.transfer()).error or "")
            judged = [e.judged for e in (await w.provider.transfer()).history if e.judged is not None]
            assert [(one["scope"], one["permitted"]) for one in judged] == [("transfer", True), ("monitor", False)]
            assert "contractAgreement+1d" in judged[1]["trace"][0]["needed"]
            consumer = await w.consumer.transfer()
            assert all(entry.judged is None for entry in consumer.history)
            assert "contractAgreement" not in str([entry.detail for entry in consumer.history])

    async def test_what_was_proven_before_does_not_end_a_transfer_with_a_date(self) -> None:
        """A membership is not known any more when the timer rings; only the date can be judged then."""
        terms = (Constraint("Membership", "eq", "active"), Constraint("inForceDate", "lteq", "contractAgreement+9d"))
        async with world() as w:
            agreement = await w.agreed(Policy((Rule("use", (terms[1],)),)))
            await w.transfer(agreement)
            kept = await w.provider.store.read(lambda tx: tx.agreements.get(agreement))
            stricter = replace(kept, policy=replace(kept.policy, permission=(Rule("use", terms),)))
            await w.provider.store.run(lambda tx: tx.agreements.save(stricter))
            early = replace((await w.provider.every("timers"))[0], due_at=w.clock.now() + DAY)
            await w.provider.store.run(lambda tx: tx.set_timer(early))
            await w.pass_time(DAY)
            assert await states(w) == (State.STARTED, State.STARTED)
            await w.pass_time(9 * DAY)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_a_clock_that_is_set_back_in_this_moment_only_puts_the_end_off(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with world() as w:
            await w.transfer(await w.agreed(self.UNTIL_TOMORROW))
            store, run = w.provider.store, w.provider.store.run

            async def set_back(fn: Callable[[Tx], Any]) -> Any:  # noqa: ANN401 - what `fn` returns
                monkeypatch.setattr(store, "run", run)
                w.clock.at -= 1000
                return await run(fn)

            monkeypatch.setattr(store, "run", set_back)
            await w.pass_time(DAY + 1)
            assert store.run == run  # it has happened
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_a_suspended_transfer_ends_as_well(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed(self.UNTIL_TOMORROW))
            await act(w, CONSUMER, SUSPEND)
            await w.pass_time(DAY + 1)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_nothing_starts_after_the_end(self) -> None:
        async with world() as w:
            agreement = await w.agreed(self.UNTIL_TOMORROW)
            await w.pass_time(DAY + 1)
            await w.transfer(agreement)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_a_first_date_that_changes_nothing_is_followed_by_the_next(self) -> None:
        either = Policy(
            (
                Rule("use", (Constraint("inForceDate", "lteq", "contractAgreement+9d"),)),
                Rule("use", (Constraint("inForceDate", "lteq", "contractAgreement+9d"),)),
            )
        )
        async with world() as w:
            agreement = await w.agreed(either)
            await w.transfer(agreement)
            timer = (await w.provider.every("timers"))[0]
            early = replace(timer, due_at=w.clock.now() + DAY)
            await w.provider.store.run(lambda tx: tx.set_timer(early))
            await w.pass_time(DAY)
            assert await states(w) == (State.STARTED, State.STARTED)
            await w.pass_time(9 * DAY)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_an_ended_transfer_leaves_no_timer(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed(self.UNTIL_TOMORROW))
            await act(w, CONSUMER, COMPLETE)
            assert await w.provider.every("timers") == []


class TestOneCall:
    async def test_the_transfer_follows_the_contract_by_itself(self) -> None:
        async with world() as w:
            await w.offer()
            record = await w.request(transfer_format=HTTP_PULL)
            assert await states(w) == (State.STARTED, State.STARTED)
            edr = (await w.consumer.every("edrs"))[0]
            assert edr.negotiation_id == record.id

    async def test_a_repeated_finalization_starts_no_second_transfer(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractNegotiationEventMessage", "unanswered")
            await w.request(transfer_format=HTTP_PULL)
            await w.deliver_all()
            assert len(await w.consumer.every("transfers")) == 1


class TestStrategiesAndOperators:
    async def test_a_manual_provider_decides(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            await w.transfer(await w.agreed())
            theirs = await w.provider.transfer()
            assert theirs.history[-1].detail == "waiting for a decision: START or TERMINATE"
            await act(w, PROVIDER, START)
            assert await states(w) == (State.STARTED, State.STARTED)

    async def test_a_manual_provider_is_asked_for_the_start_that_a_resumption_waits_for(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            await w.transfer(await w.agreed())
            for who, decision in ((PROVIDER, START), (CONSUMER, SUSPEND), (CONSUMER, START)):
                await act(w, who, decision)
            assert await states(w) == (State.STARTED, State.STARTED)
            assert await rights(w) == ([], [])
            ours, theirs = await w.consumer.transfer(), await w.provider.transfer()
            assert ours.history[-1].detail == "the provider's own START, which brings the address, comes next"
            assert theirs.history[-1].what == "held"
            assert theirs.history[-1].detail == "waiting for a decision: START or TERMINATE"
            await act(w, PROVIDER, START)
            assert await rights(w) == (["token-2"], ["token-2"])

    async def test_a_provider_that_has_resumed_by_itself_waits_for_nothing(self) -> None:
        async with world() as w:
            await w.transfer(await w.agreed())
            for who, decision in ((CONSUMER, SUSPEND), (PROVIDER, START)):
                await act(w, who, decision)
            for side in (w.consumer, w.provider):
                assert [entry.what for entry in (await side.transfer()).history if entry.what == "held"] == []

    async def test_a_bpn_that_only_the_caller_has_proved_is_remembered(self) -> None:
        """As with credentials: no directory of ours has it. Backends and the end of the agreement go by it."""
        async with world(provider={"directory": Directory({})}, consumer={"directory": Directory({})}) as w:
            await w.transfer(await w.agreed(Policy((Rule("use", (Constraint("BusinessPartnerNumber", "eq", BPN),)),))))
            (grant,) = await w.provider.every("grants")
            assert grant.consumer_bpn == BPN
            theirs = await w.provider.transfer()
            parties = [
                await side.store.read(partial(party_of, side.node, record=record))
                for side, record in ((w.provider, theirs), (w.consumer, await w.consumer.transfer()))
            ]
            assert [party.bpn for party in parties] == [BPN, "BPNL0000000000PR"]

    async def test_an_object_as_a_reason_is_kept_as_json(self) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            moving = await w.transfer(await w.agreed())
            doc = {
                "@context": CONTEXT,
                "@type": "TransferTerminationMessage",
                "consumerPid": moving.id,
                "providerPid": (await w.provider.transfer()).id,
                "reason": [{"code": 7, "text": "gone"}, {"@value": "für immer", "@language": "de"}],
            }
            await w.say(CONSUMER, f"http://provider.test/2025-1/transfers/{doc['providerPid']}/termination", doc)
            theirs = await w.provider.transfer()
            assert theirs.error == 'by the counterparty: {"code": 7, "text": "gone"}; für immer'

    async def test_an_impossible_decision_opens_nothing(self) -> None:
        async with world(provider={"transfers": Script(REQUEST=SUSPEND, TERMINATE=START)}) as w:
            await w.transfer(await w.agreed())
            theirs = await w.provider.transfer()
            assert "SUSPEND is not possible" in (theirs.error or "")
            await act(w, PROVIDER, terminate("no"))
            with pytest.raises(Conflict):
                await act(w, PROVIDER, START)
            with pytest.raises(Conflict, match="not an act of a transfer"):
                await act(w, PROVIDER, Decision(Act.AGREE))
            assert await rights(w) == ([], [])

    async def test_a_delayed_start(self) -> None:
        async with world(provider={"transfers": Script(REQUEST=replace(START, after_ms=700))}) as w:
            await w.transfer(await w.agreed())
            await w.pass_time(699)
            assert await states(w) == (State.REQUESTED, State.REQUESTED)
            await w.pass_time(1)
            assert await states(w) == (State.STARTED, State.STARTED)

    async def test_a_delayed_start_is_dropped_when_the_peer_has_left(self) -> None:
        async with world(provider={"transfers": Script(REQUEST=replace(START, after_ms=700))}) as w:
            await w.transfer(await w.agreed())
            await act(w, CONSUMER, terminate("changed my mind"))
            await w.pass_time(1000)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    @pytest.mark.parametrize("who", [CONSUMER, PROVIDER])
    async def test_a_requested_transfer_is_ended_by_either_side(self, who: str) -> None:
        async with world(provider={"transfers": Manual()}) as w:
            await w.transfer(await w.agreed())
            await act(w, who, terminate("no"))
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_a_request_that_nobody_answers_is_given_up(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            w.fault("TransferRequestMessage", *["lost"] * 9)
            await w.transfer(agreement)
            await act(w, CONSUMER, terminate("too slow"))
            ours = await w.consumer.transfer()
            assert (ours.process.state, ours.error) == (State.TERMINATED, "too slow")
            with pytest.raises(Conflict):
                await act(w, CONSUMER, terminate())

    async def test_only_the_counterparty_is_shown_the_state(self) -> None:
        async with world() as w:
            ours = await w.transfer(await w.agreed())
            theirs: Transfer = await w.provider.transfer()
            url = f"http://provider.test/2025-1/transfers/{theirs.id}"
            assert (await w.say(STRANGER, url)).status == 404
            shown = await w.say(CONSUMER, url)
            assert shown.json() == {
                "@context": CONTEXT,
                "@type": "TransferProcess",
                "consumerPid": ours.id,
                "providerPid": theirs.id,
                "state": "STARTED",
            }

    async def test_the_agreement_of_a_negotiation_is_known(self) -> None:
        async with world() as w:
            agreement = await w.agreed()
            record = await w.provider.negotiation()
            assert await negotiate.agreement_of(w.provider.node, record.id) == agreement


class TestEqualBodiesWithoutIds:
    async def test_a_second_suspension_without_an_id_is_a_second_suspension(self) -> None:
        async with world() as w:
            ours = await w.transfer(await w.agreed())
            theirs = await w.provider.transfer()
            pids = {"@context": CONTEXT, "consumerPid": ours.id, "providerPid": theirs.id}
            suspension = pids | {"@type": "TransferSuspensionMessage"}
            url = f"http://provider.test/2025-1/transfers/{theirs.id}"
            assert (await w.say(CONSUMER, f"{url}/suspension", suspension)).status == 200
            assert (await w.say(CONSUMER, f"{url}/suspension", suspension)).status == 200
            assert (await w.provider.transfer()).process.state is State.SUSPENDED
            await w.say(CONSUMER, f"{url}/start", pids | {"@type": "TransferStartMessage"})
            await w.quiet()
            await w.say(CONSUMER, f"{url}/suspension", suspension)
            assert (await w.provider.transfer()).process.state is State.SUSPENDED
