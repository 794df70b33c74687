"""What a counterparty may not do: each message of a negotiation, refused for each reason (DSP 2025-1, clause 7)."""

import json
from typing import Any

import pytest
from typing_extensions import override

from connector.exchange import publish
from connector.exchange.query import Criterion
from connector.exchange.records import ContractDefinition, PolicyDefinition
from connector.exchange.strategy import Act, AutomaticNegotiation, Decision, Manual, NegotiationView
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.negotiation import State
from connector.protocol.vocabulary import EDC
from tests.integration.exchange_world import (
    CONSUMER,
    OPEN,
    PROVIDER,
    STRANGER,
    Said,
    World,
    world,
)

UNTIL = Policy((Rule("use", (Constraint("DataUsageEndDate", "lteq", "2030-01-01"),)),))
CONTEXT = ["https://w3id.org/dspace/2025/1/context.jsonld"]


def offer_doc(policy: Policy, **members: Any) -> dict[str, Any]:
    return {**policy.to_json(), "@type": "Offer", **members}


def request_doc(offer: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "ContractRequestMessage",
        "consumerPid": "c-1",
        "offer": offer,
        "callbackAddress": "http://consumer.test/2025-1",
        **members,
    }


def reason(answer: Said) -> str:
    doc = answer.json()
    assert isinstance(doc, dict)
    return " ".join(doc["reason"])


class OffersOnce(AutomaticNegotiation):
    """Answers the first request with an offer of its own, as a person may; then it is the default again."""

    def __init__(self) -> None:
        self._offered = False

    @override
    def decide(self, view: NegotiationView) -> Decision:
        if self._offered or view.ours:
            return super().decide(view)
        self._offered = True
        return Decision(Act.OFFER)


class TestStrangers:
    @pytest.mark.parametrize("path", ["", "/events", "/agreement/verification", "/termination", "/request"])
    async def test_nobody_else_can_touch_or_see_a_negotiation(self, path: str) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            ours = await w.request()
            theirs = await w.provider.negotiation()
            kinds: dict[str, Any] = {
                "": None,
                "/events": {"@type": "ContractNegotiationEventMessage", "eventType": "ACCEPTED"},
                "/agreement/verification": {"@type": "ContractAgreementVerificationMessage"},
                "/termination": {"@type": "ContractNegotiationTerminationMessage"},
                "/request": {"@type": "ContractRequestMessage", "offer": offer_doc(OPEN, **{"@id": "x"})},
            }
            doc = kinds[path]
            if doc is not None:
                doc |= {"@context": CONTEXT, "consumerPid": ours.id, "providerPid": theirs.id}
            answer = await w.say(STRANGER, f"http://provider.test/2025-1/negotiations/{theirs.id}{path}", doc)
            assert answer.status == 404
            assert await w.provider.negotiation() == theirs

    async def test_a_message_must_name_the_process_of_its_path(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            ours = await w.request()
            theirs = await w.provider.negotiation()
            url = f"http://provider.test/2025-1/negotiations/{theirs.id}/termination"
            doc = {"@context": CONTEXT, "@type": "ContractNegotiationTerminationMessage"}
            for pids, told in (
                ({"consumerPid": ours.id, "providerPid": "other"}, "the pid in the path"),
                ({"consumerPid": "other", "providerPid": theirs.id}, "not the pid this process began with"),
            ):
                answer = await w.say(CONSUMER, url, doc | pids)
                assert answer.status == 400
                assert told in reason(answer)

    async def test_only_the_counterparty_is_shown_the_state(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            ours = await w.request()
            theirs = await w.provider.negotiation()
            shown = await w.say(CONSUMER, f"http://provider.test/2025-1/negotiations/{theirs.id}")
            assert shown.json() == {
                "@context": CONTEXT,
                "@type": "ContractNegotiation",
                "consumerPid": ours.id,
                "providerPid": theirs.id,
                "state": "REQUESTED",
            }
            back = await w.say(PROVIDER, f"http://consumer.test/2025-1/negotiations/{ours.id}")
            assert json.loads(back.body)["state"] == "REQUESTED"


class TestFirstMessages:
    async def request(self, w: World, **members: Any) -> Said:
        doc = {**request_doc(offer_doc(await w.found())), **members}
        return await w.say(CONSUMER, "http://provider.test/2025-1/negotiations/request", doc)

    async def test_a_repeat_is_answered_with_what_is_there(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            first = await self.request(w, **{"@id": "m-1"})
            again = await self.request(w, **{"@id": "m-1"})
            fresh = await self.request(w, **{"@id": "m-2"})
            assert (first.status, first.body) == (201, again.body) == (201, fresh.body)
            assert len(await w.provider.every("negotiations")) == 1

    async def test_a_repeat_without_id_is_known_by_its_body(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            assert (await self.request(w)).body == (await self.request(w)).body
            assert len(await w.provider.every("negotiations")) == 1

    async def test_a_pid_that_is_used_again_for_another_offer_is_refused(self) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            await w.offer()
            await self.request(w, **{"@id": "m-1"})
            other = request_doc(offer_doc(UNTIL, **{"@id": (await w.found()).id}), **{"@id": "m-2"})
            answer = await w.say(CONSUMER, "http://provider.test/2025-1/negotiations/request", other)
            assert answer.status == 400
            assert "another negotiation" in reason(answer)

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"callbackAddress": "ftp://x"}, 400),
            ({"callbackAddress": None}, 400),
            ({"offer": offer_doc(OPEN, **{"@id": "no-such-offer"})}, 404),
            ({"offer": offer_doc(OPEN, **{"@id": "sale-battery:battery:0", "target": "other"})}, 404),
            ({"offer": offer_doc(OPEN, **{"@id": "sale-battery:battery:0", "assigner": "other"})}, 400),
            ({"offer": {"@type": "Offer", "@id": "x", "permission": [{}]}}, 400),
        ],
    )
    async def test_what_cannot_be_negotiated_is_refused(self, changes: dict[str, Any], status: int) -> None:
        async with world() as w:
            await w.offer()
            assert (await self.request(w, **changes)).status == status
            assert await w.provider.every("negotiations") == []

    async def test_an_offer_must_come_from_its_assigner(self) -> None:
        async with world() as w:
            doc = {
                "@context": CONTEXT,
                "@type": "ContractOfferMessage",
                "providerPid": "p-1",
                "offer": offer_doc(OPEN, **{"@id": "x", "target": "battery", "assigner": "somebody"}),
                "callbackAddress": "http://provider.test/2025-1",
            }
            answer = await w.say(PROVIDER, "http://consumer.test/2025-1/negotiations/offers", doc)
            assert answer.status == 400


class TestAgreements:
    """The consumer's checks of an agreement, by one that differs in one member."""

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"assigner": STRANGER}, "/agreement/assigner"),
            ({"assignee": STRANGER}, "/agreement/assignee"),
            ({"target": "other"}, "/agreement/target"),
            ({"permission": UNTIL.to_json()["permission"]}, "departs from the offer"),
        ],
    )
    async def test_it_must_be_the_offer_between_the_two_of_us(self, changes: dict[str, Any], place: str) -> None:
        async with world(provider={"negotiations": Manual()}) as w:
            answer = await self.agreement(w, **changes)
            assert answer.status == 400
            assert place in reason(answer)
            assert await w.consumer.every("agreements") == []
            assert (await w.consumer.negotiation()).process.state is State.REQUESTED

    async def test_one_without_a_legible_date_counts_from_now(self) -> None:
        async with world(provider={"negotiations": Manual()}, consumer={"negotiations": Manual()}) as w:
            assert (await self.agreement(w, timestamp="yesterday")).status == 200
            assert (await w.consumer.every("agreements"))[0].created_at == w.clock.now()

    async def test_a_date_without_an_offset_is_utc(self) -> None:
        async with world(provider={"negotiations": Manual()}, consumer={"negotiations": Manual()}) as w:
            await self.agreement(w, timestamp="2026-01-01T00:00:00")
            assert (await w.consumer.every("agreements"))[0].created_at == 1_767_225_600_000

    async def agreement(self, w: World, **changes: Any) -> Said:
        await w.offer()
        ours = await w.request()
        theirs = await w.provider.negotiation()
        agreement = {**OPEN.to_json(), "@id": "a-1", "@type": "Agreement", "target": "battery"}
        agreement |= {"assigner": PROVIDER, "assignee": CONSUMER, **changes}
        doc = {
            "@context": CONTEXT,
            "@type": "ContractAgreementMessage",
            "consumerPid": ours.id,
            "providerPid": theirs.id,
            "agreement": agreement,
        }
        return await w.say(PROVIDER, f"http://consumer.test/2025-1/negotiations/{ours.id}/agreement", doc)

    async def test_an_agreement_id_is_used_once(self) -> None:
        async with world(provider={"negotiations": Manual()}, consumer={"negotiations": Manual()}) as w:
            await self.agreement(w)
            await w.offer(asset="cell")
            ours = await w.request(await w.found("cell"))
            theirs = await w.provider.negotiation()
            doc = w_agreement(ours.id, theirs.id)
            answer = await w.say(PROVIDER, f"http://consumer.test/2025-1/negotiations/{ours.id}/agreement", doc)
            assert (answer.status, "in use" in reason(answer)) == (400, True)


def w_agreement(consumer_pid: str, provider_pid: str) -> dict[str, Any]:
    agreement = {**OPEN.to_json(), "@id": "a-1", "@type": "Agreement", "target": "cell"}
    return {
        "@context": CONTEXT,
        "@type": "ContractAgreementMessage",
        "consumerPid": consumer_pid,
        "providerPid": provider_pid,
        "agreement": agreement | {"assigner": PROVIDER, "assignee": CONSUMER},
    }


class TestCounterOffers:
    """Once we have made an offer of our own, the consumer may answer with another: about the same asset (7.3.1)."""

    async def countered(self, w: World, offer_id: str, policy: Policy = OPEN) -> Said:
        theirs = await w.provider.negotiation()
        doc = {
            "@context": CONTEXT,
            "@type": "ContractRequestMessage",
            "consumerPid": theirs.peer_pid,
            "providerPid": theirs.id,
            "offer": offer_doc(policy, **{"@id": offer_id, "target": "secret"}),
        }
        url = f"http://provider.test/2025-1/negotiations/{theirs.id}/request"
        answer = await w.say(CONSUMER, url, doc)
        await w.quiet()
        return answer

    async def test_an_asset_is_not_had_on_the_terms_of_another(self) -> None:
        async with world(provider={"negotiations": OffersOnce()}, consumer={"negotiations": Manual()}) as w:
            await w.offer(UNTIL, asset="secret")
            await w.offer(OPEN, asset="harmless")
            lax = (await w.found("harmless")).id or ""
            await w.request(await w.found("secret"))
            answer = await self.countered(w, lax)
            assert (answer.status, await w.provider.every("agreements")) == (404, [])
            assert (await w.provider.negotiation()).process.state is State.OFFERED

    async def test_nor_under_a_definition_that_is_for_others(self) -> None:
        """Whoever agrees by hand sees the terms, and the id decides besides what is shown (`passport_views`)."""
        async with world(provider={"negotiations": OffersOnce()}, consumer={"negotiations": Manual()}) as w:
            await w.offer(UNTIL, asset="secret")
            node, only = w.provider.node, (Criterion(f"{EDC}id", "=", "secret"),)
            members = Policy((Rule("use", (Constraint("Membership", "eq", "active"),)),))
            await publish.add_policy(node, PolicyDefinition("members", w.clock.now(), members))
            await publish.add_definition(
                node, ContractDefinition("inner", w.clock.now(), "members", "terms-secret", only)
            )
            await w.request(await w.found("secret"))
            answer = await self.countered(w, "inner:secret:0000000000000000", UNTIL)
            assert (answer.status, await w.provider.every("agreements")) == (404, [])
