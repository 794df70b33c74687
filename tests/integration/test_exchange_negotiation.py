"""Contract negotiations between two nodes: what each side may do, and what each may not (DSP 2025-1, clause 7)."""

from dataclasses import replace
from typing import Any, Final

import pytest

from connector.exchange import negotiate
from connector.exchange.hold import PAUSE_MS
from connector.exchange.records import Negotiation, Peer
from connector.exchange.strategy import Act, AutomaticNegotiation, Decision, Manual, terminate
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.errors import Conflict, Invalid, NotFound
from connector.protocol.negotiation import State
from tests.integration.exchange_world import (
    CONSUMER,
    OPEN,
    PROVIDER,
    START_MS,
    Request,
    Said,
    Script,
    World,
    world,
)

CONSUMER_ONLY = Policy((Rule("use", (Constraint("BusinessPartnerNumber", "eq", "BPNL0000000000C0"),)),))
OTHERS_ONLY = Policy((Rule("use", (Constraint("BusinessPartnerNumber", "eq", "BPNL0000000000ST"),)),))
UNTIL = Policy((Rule("use", (Constraint("DataUsageEndDate", "lteq", "2030-01-01"),)),))
AGREE, OFFER, ACCEPT = Decision(Act.AGREE), Decision(Act.OFFER), Decision(Act.ACCEPT)
VERIFY, FINALIZE, COUNTER = Decision(Act.VERIFY), Decision(Act.FINALIZE), Decision(Act.REQUEST)

CONVERSATION: Final = [
    "ContractRequestMessage",
    "ContractAgreementMessage",
    "ContractAgreementVerificationMessage",
    "ContractNegotiationEventMessage",
]


async def states(w: World) -> tuple[State | None, State | None]:
    """The consumer's and the provider's."""
    return (await w.consumer.negotiation()).process.state, (await w.provider.negotiation()).process.state


def said(record: Negotiation) -> list[str]:
    return [entry.what for entry in record.history]


class TestByThemselves:
    async def test_a_contract_is_concluded(self) -> None:
        async with world() as w:
            await w.offer(CONSUMER_ONLY)
            record = await w.request()
            assert await states(w) == (State.FINALIZED, State.FINALIZED)
            assert w.sent() == CONVERSATION
            assert said(await w.consumer.negotiation(record.id)) == [
                *("initiated", "we:REQUEST", "peer:AGREE", "we:VERIFY", "peer:FINALIZE")
            ]

    async def test_both_sides_keep_the_same_agreement_of_the_same_moment(self) -> None:
        async with world() as w:
            w.clock.at += 1234
            agreement = await w.agreed(UNTIL)
            theirs = (await w.provider.every("agreements"))[0]
            ours = (await w.consumer.every("agreements"))[0]
            assert ours.id == theirs.id == agreement
            assert ours.policy == theirs.policy
            assert ours.created_at == theirs.created_at == START_MS + 1000
            assert (ours.provider_id, ours.consumer_id, ours.asset_id) == (PROVIDER, CONSUMER, "battery")

    async def test_nothing_is_left_in_the_outbox(self) -> None:
        async with world() as w:
            await w.agreed()
            assert await w.provider.every("outbox") == await w.consumer.every("outbox") == []

    async def test_our_next_message_leaves_after_the_answer_to_the_last_one(self) -> None:
        async with world() as w:
            await w.offer()
            offer = await w.found()
            w.log.clear()
            await w.request(offer)
            assert [request.method for request in w.log] == ["POST", "ANSWER"] * 4

    async def test_a_peer_that_is_not_ready_at_once_has_time_to_store_our_answer(self) -> None:
        async with world() as w:
            await w.offer()

            async def other_maker(request: Request) -> Said | None:
                return await w.pass_on(request, follow_up="") if request.method == "POST" else None

            w.faults.append(other_maker)
            offer = await w.found()
            w.log.clear()
            begun = w.clock.now()
            await w.request(offer)
            for count in range(1, len(CONVERSATION)):
                await w.pass_time(PAUSE_MS - 1)
                assert w.sent() == CONVERSATION[:count]
                await w.pass_time(1)
            assert (w.sent(), w.clock.now() - begun) == (CONVERSATION, 3 * PAUSE_MS)

    async def test_a_policy_that_is_not_met_ends_it_with_the_reason(self) -> None:
        async with world() as w:
            await w.offer(OTHERS_ONLY)
            await w.request()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            ours = await w.consumer.negotiation()
            assert ours.error is not None
            assert "BusinessPartnerNumber is not met" in ours.error
            assert "BPNL" not in ours.error

    async def test_an_offer_whose_constraint_was_dropped_is_not_agreed(self) -> None:
        async with world() as w:
            await w.offer(UNTIL)
            await w.request(replace(await w.found(), permission=OPEN.permission))
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert "the terms are not those offered" in ((await w.consumer.negotiation()).error or "")
            assert await w.consumer.every("agreements") == []

    async def test_an_offer_of_terms_that_have_changed_is_not_agreed(self) -> None:
        async with world() as w:
            await w.offer()
            stale = await w.found()
            await w.provider.store.run(
                lambda tx: tx.policies.save(replace(tx.policies.get("terms-battery"), policy=UNTIL))
            )
            await w.request(stale)
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_an_offer_that_may_not_be_seen_does_not_exist(self) -> None:
        async with world() as w:
            await w.offer(access=OTHERS_ONLY)
            record = await w.request(replace(OPEN, kind="Offer", id="sale-battery:battery:0", target="battery"))
            assert (await w.consumer.negotiation(record.id)).process.state is State.TERMINATED
            assert "no such offer" in ((await w.consumer.negotiation(record.id)).error or "")
            assert await w.provider.every("negotiations") == []


class TestCounterOffers:
    async def test_both_sides_counter_until_one_accepts(self) -> None:
        better = replace(UNTIL, kind="Offer")
        provider = Script(REQUEST=[OFFER, replace(OFFER, policy=better)], ACCEPT=AGREE, VERIFY=FINALIZE)
        consumer = Script(OFFER=[COUNTER, ACCEPT], AGREE=VERIFY)
        async with world(provider={"negotiations": provider}, consumer={"negotiations": consumer}) as w:
            await w.offer()
            await w.request()
            assert await states(w) == (State.FINALIZED, State.FINALIZED)
            ours, theirs = (await w.consumer.every("agreements"))[0], (await w.provider.every("agreements"))[0]
            assert ours.policy.permission == theirs.policy.permission == UNTIL.permission
            assert [str(view.event) for view in consumer.views if not view.ours] == ["OFFER", "OFFER", "AGREE"]

    async def test_the_consumer_measures_an_offer_by_what_it_asked_for(self) -> None:
        provider = Script(REQUEST=[replace(OFFER, policy=UNTIL)])
        async with world(provider={"negotiations": provider}) as w:
            await w.offer()
            await w.request()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert "the offer is not what was asked for" in ((await w.provider.negotiation()).error or "")

    async def test_an_automatic_provider_stands_by_the_special_offer_its_operator_made(self) -> None:
        consumer = Script(OFFER=ACCEPT, AGREE=VERIFY)
        async with world(provider={"negotiations": Manual()}, consumer={"negotiations": consumer}) as w:
            await w.offer()
            await w.request()
            auto = replace(w.provider.node, negotiations=AutomaticNegotiation())
            w.provider.engine._node = w.provider.node = auto  # noqa: SLF001 - the operator changes the setting
            pid = (await w.provider.negotiation()).id
            await negotiate.act(auto, pid, replace(OFFER, policy=UNTIL))
            await w.quiet()
            assert (await w.provider.negotiation()).process.state in (State.ACCEPTED, State.FINALIZED)

    async def test_an_agreement_on_other_terms_than_the_offer_is_refused(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            await w.request()
            theirs = await w.provider.negotiation()
            changed = replace(theirs, offer=replace(theirs.offer, permission=UNTIL.permission))
            await w.provider.store.run(lambda tx: tx.negotiations.save(changed))
            await negotiate.act(w.provider.node, theirs.id, AGREE)
            await w.quiet()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert "departs from the offer" in ((await w.provider.negotiation()).error or "")
            assert await w.consumer.every("agreements") == []


class TestProviderBegins:
    async def test_an_unsolicited_offer_is_held_for_a_person(self) -> None:
        async with world() as w:
            await w.offer()
            consumer = Peer(CONSUMER, "http://consumer.test/2025-1/")
            await negotiate.offer(w.provider.node, consumer, "sale-battery", "battery")
            await w.quiet()
            assert await states(w) == (State.OFFERED, State.OFFERED)
            ours = await w.consumer.negotiation()
            assert ours.history[-1].what == "held"
            assert ours.history[-1].detail == "waiting for a decision: REQUEST, ACCEPT or TERMINATE"
            assert ours.error is None

    async def test_it_goes_on_when_the_person_accepts(self) -> None:
        async with world() as w:
            await w.offer(CONSUMER_ONLY)
            consumer = Peer(CONSUMER, "http://consumer.test/2025-1")
            await negotiate.offer(w.provider.node, consumer, "sale-battery", "battery")
            await w.quiet()
            await negotiate.act(w.consumer.node, (await w.consumer.negotiation()).id, ACCEPT)
            await w.quiet()
            assert await states(w) == (State.FINALIZED, State.FINALIZED)

    async def test_an_offer_that_is_repeated_opens_one_negotiation(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractOfferMessage", "unanswered")
            await negotiate.offer(
                w.provider.node, Peer(CONSUMER, "http://consumer.test/2025-1"), "sale-battery", "battery"
            )
            await w.deliver_all()
            assert await states(w) == (State.OFFERED, State.OFFERED)
            assert len(await w.consumer.every("negotiations")) == 1

    async def test_the_offer_must_be_of_a_definition_and_an_asset_that_exist(self) -> None:
        async with world() as w:
            await w.offer()
            with pytest.raises(NotFound):
                await negotiate.offer(w.provider.node, Peer(CONSUMER, "http://consumer.test"), "sale-battery", "none")


class TestOperators:
    async def test_a_person_decides_every_step(self) -> None:
        async with world(provider={"negotiations": Manual()}, consumer={"negotiations": Manual()}) as w:
            await w.offer()
            ours = (await w.request()).id
            theirs = (await w.provider.negotiation()).id
            waiting = (await w.provider.negotiation()).history[-1].detail
            assert waiting == "waiting for a decision: OFFER, AGREE or TERMINATE"
            for side, pid, decision in (
                (w.provider, theirs, OFFER),
                (w.consumer, ours, ACCEPT),
                (w.provider, theirs, AGREE),
                (w.consumer, ours, VERIFY),
                (w.provider, theirs, FINALIZE),
            ):
                await negotiate.act(side.node, pid, decision)
                await w.quiet()
            assert await states(w) == (State.FINALIZED, State.FINALIZED)

    async def test_an_impossible_decision_changes_nothing(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            await w.request()
            before = await w.provider.negotiation()
            with pytest.raises(Conflict, match="FINALIZE is not possible in state REQUESTED"):
                await negotiate.act(w.provider.node, before.id, FINALIZE)
            with pytest.raises(Conflict, match="start is not an act of a negotiation"):
                await negotiate.act(w.provider.node, before.id, Decision(Act.START))
            assert await w.provider.negotiation() == before

    async def test_a_plan_needs_an_offer_id_and_a_target_and_an_address(self) -> None:
        async with world() as w:
            for offer, place in ((OPEN, "/policy/@id"), (replace(OPEN, id="x"), "/policy/target")):
                with pytest.raises(Invalid) as refused:
                    await negotiate.request(w.consumer.node, negotiate.Contract(w.peer, offer))
                assert refused.value.pointer == place
            contract = negotiate.Contract(Peer(PROVIDER, "ftp://x"), replace(OPEN, id="x", target="y"))
            with pytest.raises(Invalid) as refused:
                await negotiate.request(w.consumer.node, contract)
            assert refused.value.pointer == "/counterPartyAddress"

    async def test_only_what_was_terminated_without_an_agreement_is_forgotten(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            with pytest.raises(Conflict, match="terminate it first"):
                await negotiate.forget(w.consumer.node, record.id)
            await negotiate.act(w.consumer.node, record.id, terminate("enough"))
            await w.quiet()
            await negotiate.forget(w.consumer.node, record.id)
            assert await w.consumer.every("negotiations") == []

    async def test_a_negotiation_with_an_agreement_stays(self) -> None:
        async with world(consumer={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            await negotiate.act(w.consumer.node, record.id, terminate())
            await w.quiet()
            with pytest.raises(Conflict, match="explicable"):
                await negotiate.forget(w.consumer.node, record.id)

    async def test_there_is_no_agreement_before_there_is_one(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            with pytest.raises(NotFound, match="it is REQUESTED"):
                await negotiate.agreement_of(w.consumer.node, record.id)


class TestTermination:
    REACHED: Final[Any] = (
        (State.REQUESTED, {}, {}),
        (State.OFFERED, {"REQUEST": OFFER}, {}),
        (State.ACCEPTED, {"REQUEST": OFFER}, {"OFFER": ACCEPT}),
        (State.AGREED, {"REQUEST": AGREE}, {}),
        (State.VERIFIED, {"REQUEST": AGREE}, {"AGREE": VERIFY}),
    )

    @pytest.mark.parametrize("who", [CONSUMER, PROVIDER])
    @pytest.mark.parametrize(("state", "provider", "consumer"), REACHED)
    async def test_either_side_ends_it_in_any_state(
        self, who: str, state: State, provider: dict[str, Decision], consumer: dict[str, Decision]
    ) -> None:
        async with world(
            provider={"negotiations": Script(**provider)}, consumer={"negotiations": Script(**consumer)}
        ) as w:
            await w.offer()
            await w.request()
            assert await states(w) == (state, state)
            side, other = w.sides[who], w.sides[PROVIDER if who == CONSUMER else CONSUMER]
            await negotiate.act(side.node, (await side.negotiation()).id, terminate("no longer needed", code="X"))
            await w.quiet()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)
            assert (await side.negotiation()).error == "no longer needed"
            assert (await other.negotiation()).error == "terminated by the counterparty: no longer needed"
            assert await w.provider.every("outbox") == await w.consumer.every("outbox") == []

    async def test_a_final_contract_is_not_terminated(self) -> None:
        async with world() as w:
            await w.agreed()
            for side in (w.consumer, w.provider):
                with pytest.raises(Conflict):
                    await negotiate.act(side.node, (await side.negotiation()).id, terminate())

    async def test_a_second_termination_does_not_take_back_the_first(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            w.fault("ContractNegotiationTerminationMessage", "lost")
            await negotiate.act(w.consumer.node, record.id, terminate("once"))
            await w.quiet()
            with pytest.raises(Conflict, match="on its way already"):
                await negotiate.act(w.consumer.node, record.id, terminate("twice"))
            await w.deliver_all()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)

    async def test_whoever_never_answered_is_given_up(self) -> None:
        async with world() as w:
            await w.offer()
            w.fault("ContractRequestMessage", *["lost"] * 9)
            record = await w.request()
            await negotiate.act(w.consumer.node, record.id, terminate("too slow"))
            ours = await w.consumer.negotiation(record.id)
            assert (ours.process.state, ours.error) == (State.TERMINATED, "too slow")
            assert await w.consumer.every("outbox") == []
            with pytest.raises(Conflict, match="TERMINATED already"):
                await negotiate.act(w.consumer.node, record.id, terminate())

    async def test_terminations_that_cross_end_it_on_both_sides(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            w.fault("ContractNegotiationTerminationMessage", "lost", "lost")
            await negotiate.act(w.consumer.node, record.id, terminate())
            await negotiate.act(w.provider.node, (await w.provider.negotiation()).id, terminate())
            await w.deliver_all()
            assert await states(w) == (State.TERMINATED, State.TERMINATED)


class TestDelayedDecisions:
    async def test_a_delayed_decision_is_carried_out_at_its_time(self) -> None:
        async with world(provider={"negotiations": Script(REQUEST=replace(AGREE, after_ms=500))}) as w:
            await w.offer()
            await w.request()
            await w.pass_time(499)
            assert await states(w) == (State.REQUESTED, State.REQUESTED)
            await w.pass_time(1)
            assert (await w.provider.negotiation()).process.state is not State.REQUESTED

    async def test_a_delayed_offer_keeps_its_terms(self) -> None:
        bounded = Policy((Rule("use", (Constraint("x", "lteq", 5),)),))
        script = Script(REQUEST=replace(OFFER, policy=bounded, after_ms=500))
        async with world(provider={"negotiations": script}, consumer={"negotiations": Manual()}) as w:
            await w.offer()
            await w.request()
            await w.pass_time(500)
            assert (await w.provider.negotiation()).offer.permission == bounded.permission

    async def test_it_is_dropped_if_the_other_side_moves_first_even_in_the_same_millisecond(self) -> None:
        async with world(
            provider={"negotiations": Script(REQUEST=OFFER, OFFER_sent=terminate(after_ms=500))},
            consumer={"negotiations": Script(OFFER=ACCEPT)},
        ) as w:
            await w.offer()
            await w.request()
            await w.pass_time(1000)
            assert await states(w) == (State.ACCEPTED, State.ACCEPTED)

    async def test_one_that_has_become_impossible_says_so(self) -> None:
        script = Script(REQUEST=replace(FINALIZE, after_ms=500))
        async with world(provider={"negotiations": script}) as w:
            await w.offer()
            await w.request()
            await w.pass_time(500)
            theirs = await w.provider.negotiation()
            assert (theirs.process.state, theirs.history[-1].what) == (State.REQUESTED, "held")
            assert "FINALIZE is not possible" in (theirs.error or "")


class TestFaultyStrategies:
    async def test_an_impossible_decision_is_held_and_the_peer_is_answered(self) -> None:
        async with world(provider={"negotiations": Script(REQUEST=FINALIZE)}) as w:
            await w.offer()
            await w.request()
            assert await states(w) == (State.REQUESTED, State.REQUESTED)
            assert "FINALIZE is not possible" in ((await w.provider.negotiation()).error or "")
            await negotiate.act(w.provider.node, (await w.provider.negotiation()).id, AGREE)
            await w.quiet()
            assert (await w.provider.negotiation()).error is None

    async def test_an_exception_is_held_and_tells_nobody_what_it_was(self) -> None:
        def fail(_: object) -> Decision:
            raise RuntimeError("secret")

        async with world(provider={"negotiations": Script(REQUEST=fail)}) as w:
            await w.offer()
            await w.request()
            assert await states(w) == (State.REQUESTED, State.REQUESTED)
            assert (await w.provider.negotiation()).error == "the strategy failed, see the log"
