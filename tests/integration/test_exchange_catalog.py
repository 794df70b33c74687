"""What a counterparty sees of an offer, page by page, and how it is found (DSP 2025-1, clauses 5 and 6)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from connector.exchange import catalog, discovery, fetch, negotiate, publish
from connector.exchange.records import Asset, Peer
from connector.exchange.strategy import Manual, terminate
from connector.policy.model import Constraint, Policy, Rule
from connector.protocol.catalog import parse_links
from connector.protocol.errors import Conflict, Invalid, NotFound, PeerError, Unreachable
from connector.protocol.vocabulary import EDC
from connector.storage.conditions import LONGEST_LIST
from tests.integration.exchange_world import CONSUMER, OPEN, PROVIDER, STRANGER, Request, Said, Shelf, World, world

CONTEXT = ["https://w3id.org/dspace/2025/1/context.jsonld"]
URL = "http://provider.test/2025-1/catalog/request"


def only_for(bpn: str) -> Policy:
    return Policy((Rule("access", (Constraint("BusinessPartnerNumber", "eq", bpn),)),))


async def ask(w: World, url: str = URL, *, sender: str = CONSUMER, **query: Any) -> Said:
    doc: dict[str, Any] = {"@context": CONTEXT, "@type": "CatalogRequestMessage"}
    if query:
        doc["filter"] = [{"@type": "QuerySpec", **query}]
    return await w.say(sender, url, doc)


def ids(answer: Said) -> list[str]:
    return [dataset["@id"] for dataset in json.loads(answer.body).get("dataset", [])]


class Picky(Shelf):
    """A data plane that takes no address."""

    @override
    def check(self, asset: Asset) -> None:
        raise Invalid("a URL", "/dataAddress/baseUrl")


class TestWhatIsShown:
    async def test_an_offered_asset_with_its_offer_and_its_formats(self) -> None:
        async with world() as w:
            await w.offer()
            doc = json.loads((await ask(w)).body)
            assert (doc["@type"], doc["participantId"]) == ("Catalog", PROVIDER)
            assert doc["service"][0]["endpointURL"] == "http://provider.test/2025-1"
            (dataset,) = doc["dataset"]
            assert [d["format"] for d in dataset["distribution"]] == ["HttpData-PULL", "HttpData-PUSH"]
            (offer,) = dataset["hasPolicy"]
            assert offer["@id"].startswith("sale-battery:battery:")
            assert "target" not in offer

    async def test_only_to_those_whom_the_access_policy_lets_in(self) -> None:
        async with world() as w:
            await w.offer(asset="open")
            await w.offer(asset="closed", access=only_for("BPNL0000000000C0"))
            assert ids(await ask(w)) == ["open", "closed"]
            assert ids(await ask(w, sender=STRANGER)) == ["open"]
            url = "http://provider.test/2025-1/catalog/datasets"
            assert (await w.say(STRANGER, f"{url}/closed")).status == 404
            assert (await w.say(STRANGER, f"{url}/nothing")).status == 404
            assert (await w.say(CONSUMER, f"{url}/closed")).status == 200

    async def test_not_without_a_way_to_have_it(self) -> None:
        async with world() as w:
            await w.offer()
            await publish.change_asset(w.provider.node, Asset("battery", 0))
            assert ids(await ask(w)) == []

    async def test_not_after_it_was_withdrawn(self) -> None:
        async with world() as w:
            await w.offer()
            await publish.remove_definition(w.provider.node, "sale-battery")
            assert ids(await ask(w)) == []
            await publish.remove_asset(w.provider.node, "battery")

    async def test_an_asset_under_an_agreement_stays(self) -> None:
        async with world() as w:
            await w.agreed()
            with pytest.raises(Conflict, match="under an agreement"):
                await publish.remove_asset(w.provider.node, "battery")

    async def test_an_asset_that_is_being_negotiated_stays_until_that_has_ended(self) -> None:
        """Also if there was an agreement already, which was never final: it binds nobody."""
        async with world(consumer={"negotiations": Manual()}) as w:
            await w.offer()
            record = await w.request()
            assert len(await w.provider.every("agreements")) == 1
            with pytest.raises(Conflict, match="being negotiated"):
                await publish.remove_asset(w.provider.node, "battery")
            await negotiate.act(w.consumer.node, record.id, terminate())
            await w.quiet()
            await publish.remove_asset(w.provider.node, "battery")

    async def test_what_we_have_agreed_on_as_a_consumer_locks_nothing_of_ours(self) -> None:
        async with world() as w:
            await w.agreed()
            await publish.add_asset(w.consumer.node, Asset("battery", 0))
            await publish.remove_asset(w.consumer.node, "battery")

    async def test_an_address_that_can_never_be_served_is_refused_when_it_is_published(self) -> None:
        async with world() as w:
            plane = Picky()
            await w.restart(PROVIDER, data_plane=plane)
            for publishing in (publish.add_asset, publish.change_asset):
                with pytest.raises(Invalid) as refused:
                    await publishing(w.provider.node, Asset("a", 0, data_address={"type": "HttpData"}))
                assert refused.value.pointer == "/dataAddress/baseUrl"
            assert await w.provider.every("assets") == []

    async def test_an_access_policy_that_changes_shows_at_once(self) -> None:
        async with world() as w:
            await w.offer(access=only_for("BPNL0000000000ST"))
            assert ids(await ask(w)) == []
            kept = await w.provider.store.read(lambda tx: tx.policies.get("access-battery"))
            await publish.change_policy(w.provider.node, replace(kept, policy=only_for("BPNL0000000000C0")))
            assert ids(await ask(w)) == ["battery"]


class TestPages:
    async def test_the_link_trail_leads_through_everything_and_back(self) -> None:
        async with world() as w:
            names = [f"asset-{n:02}" for n in range(7)]
            for name in names:
                await w.offer(asset=name)
            seen, trail, url = [], [], URL
            while url:
                answer = await ask(w, url, limit=3)
                seen += ids(answer)
                trail.append(url)
                links = parse_links([answer.headers["Link"]]) if "Link" in answer.headers else {}
                url = links.get("next", "")
            assert (seen, len(trail)) == (names, 3)
            back = parse_links([answer.headers["Link"]])["previous"]
            assert ids(await ask(w, back, limit=3)) == names[3:6]

    async def test_a_full_last_page_has_no_next(self) -> None:
        async with world() as w:
            for name in ("a", "b"):
                await w.offer(asset=name)
            assert "Link" not in (await ask(w, limit=2)).headers

    async def test_what_is_hidden_does_not_make_pages_short(self) -> None:
        async with world() as w:
            hidden = Policy((Rule("access", (Constraint("inForceDate", "lt", "2020-01-01"),)),))
            for n in range(6):
                await w.offer(asset=f"asset-{n}", access=hidden if n % 2 else OPEN)
            assert ids(await ask(w, limit=3)) == ["asset-0", "asset-2", "asset-4"]

    async def test_a_page_ends_after_so_many_candidates_and_says_where_to_go_on(self) -> None:
        async with world() as w:
            hidden = Policy((Rule("access", (Constraint("inForceDate", "lt", "2020-01-01"),)),))
            for n in range(2 * catalog.BATCHES + 3):
                await w.offer(asset=f"asset-{n:02}", access=hidden)
            await w.offer(asset="last")
            answer = await ask(w, limit=1)
            assert ids(answer) == []
            onward = parse_links([answer.headers["Link"]])["next"]
            assert ids(await ask(w, onward, limit=1)) == ["last"]

    async def test_a_filter_selects_by_property(self) -> None:
        async with world() as w:
            await w.offer(asset="a")
            await w.offer(asset="b")
            criterion = {"operandLeft": f"{EDC}id", "operator": "=", "operandRight": "b"}
            assert ids(await ask(w, filterExpression=[criterion])) == ["b"]
            assert ids(await ask(w, offset=1)) == ["b"]

    @pytest.mark.parametrize(
        "query",
        [
            {"limit": 0},
            {"limit": "many"},
            {"sortField": "id"},
            {"filterExpression": [{"operandLeft": "id", "operator": "near", "operandRight": "x"}]},
            {"filterExpression": [{"operandLeft": "x", "operator": "in", "operandRight": ["x"] * (LONGEST_LIST + 1)}]},
        ],
    )
    async def test_a_filter_that_cannot_be_applied_is_refused(self, query: dict[str, Any]) -> None:
        async with world() as w:
            await w.offer()
            answer = await ask(w, **query)
            assert answer.status == 400
            assert "unsupported filter" in json.loads(answer.body)["reason"][0]

    @pytest.mark.parametrize("token", ["x", "-1", "1..2", "9" * 30, ".".join("1" * 60)])
    async def test_a_page_token_that_is_not_ours_is_refused(self, token: str) -> None:
        async with world() as w:
            assert (await ask(w, f"{URL}?page={token}")).status == 400


class TestAsking:
    async def test_a_catalog_comes_byte_for_byte(self) -> None:
        async with world() as w:
            await w.offer()
            body = await catalog.ask(w.consumer.node, w.peer, {"limit": 1})
            assert json.loads(body)["dataset"][0]["@id"] == "battery"

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            (Said(401, b'{"@type": "CatalogError", "reason": ["who are you?"]}'), "401: who are you?"),
            (Said(500, b"oops"), "500: oops"),
            (Said(503), "503: no reason given"),
            (Said(200, b"[]"), "not with a JSON object"),
        ],
    )
    async def test_a_refusal_is_repeated_to_our_side(self, said: Said, told: str) -> None:
        async with world() as w:

            async def answer(_: Request) -> Said:
                return said

            w.faults.append(answer)
            with pytest.raises(Unreachable, match=told.replace("?", r"\?")):
                await catalog.ask(w.consumer.node, w.peer, None)

    async def test_not_every_address_is_asked(self) -> None:
        async with world() as w:
            with pytest.raises(Invalid) as refused:
                await catalog.ask(w.consumer.node, Peer(PROVIDER, "ftp://x"), None)
            assert refused.value.pointer == "/counterPartyAddress"


class TestDiscovery:
    async def test_the_parameters_for_our_own_requests(self) -> None:
        async with world() as w:
            found = await discovery.version_parameters(w.consumer.node, "BPNL0000000000PR", "http://provider.test/")
            assert (found.address, found.participant_id) == ("http://provider.test/2025-1", PROVIDER)

    async def test_all_connectors_of_a_participant_without_the_silent_ones(self) -> None:
        async with world() as w:
            w.sides["down"] = replace(w.provider, crash=replace(w.provider.crash))
            w.sides["down"].crash.happened = type(w.provider.crash.happened)()
            w.sides["down"].crash.happened.set()
            found = await discovery.connectors(w.consumer.node, PROVIDER, ["http://down.test"])
            del w.sides["down"]
            assert [parameters.address for parameters in found] == ["http://provider.test/2025-1"]

    async def test_what_cannot_be_found_is_said(self) -> None:
        async def unknown(_: str) -> tuple[str, ...]:
            raise PeerError(400, "no such document")

        async with world(consumer={"connectors_of": unknown}) as w:
            with pytest.raises(NotFound, match="no such document"):
                await discovery.connectors(w.consumer.node, PROVIDER)
            with pytest.raises(Invalid, match="does not know"):
                await discovery.connectors(w.consumer.node, "BPNL000000000XXX")
            with pytest.raises(Invalid):
                await discovery.version_parameters(w.consumer.node, PROVIDER, "ftp://x")
            assert len(await discovery.connectors(w.consumer.node, PROVIDER, ["http://provider.test"])) == 1

    async def test_a_fault_of_our_own_is_not_taken_for_silence(self) -> None:
        async with world() as w:

            async def fail(_: Request) -> Said:
                raise RuntimeError("our fault")

            w.faults.append(fail)
            with pytest.raises(RuntimeError):
                await discovery.connectors(w.consumer.node, PROVIDER)


class TestFetching:
    async def test_data_without_proof_is_passed_on_and_said_to_be(self) -> None:
        async with world() as w:
            record = await w.transfer(await w.agreed())

            async def data(request: Request) -> Said | None:
                return Said(200, b"data", {"Content-Type": "text/plain"}) if "data.test" in request.url else None

            w.faults.append(data)
            found = await fetch.fetch(w.consumer.node, record.id, path="/part")
            assert (found.body, found.content_type, found.verification) == (b"data", "text/plain", None)
            assert w.log[-1].url == "http://data.test/public/part"

    async def test_a_refusal_of_the_data_plane_is_told(self) -> None:
        async with world() as w:
            record = await w.transfer(await w.agreed())

            async def refuse(request: Request) -> Said | None:
                return Said(403, b"revoked") if "data.test" in request.url else None

            w.faults.append(refuse)
            with pytest.raises(Unreachable, match="403: revoked"):
                await fetch.fetch(w.consumer.node, record.id)

    async def test_nothing_is_fetched_without_a_running_pull(self) -> None:
        async with world() as w:
            with pytest.raises(NotFound):
                await fetch.fetch(w.consumer.node, "none")


class TestPublishing:
    async def test_what_is_under_an_agreement_or_negotiated_stays(self) -> None:
        async with world() as w:
            await w.agreed()
            with pytest.raises(Conflict, match="under an agreement"):
                await publish.remove_asset(w.provider.node, "battery")
            with pytest.raises(Conflict, match="contractPolicyId"):
                await publish.remove_policy(w.provider.node, "terms-battery")

    async def test_a_definition_names_policies_that_exist(self) -> None:
        async with world() as w:
            await w.offer()
            broken = await w.provider.store.read(lambda tx: tx.definitions.get("sale-battery"))
            with pytest.raises(Invalid) as refused:
                await publish.change_definition(w.provider.node, replace(broken, contract_policy_id="none"))
            assert refused.value.pointer == "/contractPolicyId"
