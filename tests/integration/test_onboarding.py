"""Joining, onboarding and the doctor, against a running authority."""

import asyncio
import csv
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from connector import wiring
from connector.client import ApiError, Client, Provider, template
from connector.config import Config
from connector.exchange.denial import Denied, note
from connector.exchange.node import Node
from connector.exchange.query import Criterion, QuerySpec
from connector.identity.former_keys import former_file, rotate_node_key
from connector.identity.keys import SigningKey, load_or_create, replace_key
from connector.onboarding.companies import Company, Onboarding, onboard, read_companies, write_sheet
from connector.onboarding.doctor import Patient, diagnose, healthy
from connector.onboarding.findings import Finding, Verdict
from connector.onboarding.folder import Plan, prepare
from connector.onboarding.joining import join, reached
from connector.protocol.errors import Conflict, Invalid
from connector.sandbox.ports import Ports
from connector.wiring import KEY_FILE
from tests.integration.authority_world import AuthorityWorld, authority_world

BPN, OTHER = "BPNL00000000NEW1", "BPNL00000000NEW2"
TYPES = {"MembershipCredential", "BpnCredential", "DataExchangeGovernanceCredential"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[AuthorityWorld]:
    async with authority_world(tmp_path / "authority", status_ttl=0) as made:
        yield made


@pytest.fixture
def ports() -> Iterator[Ports]:
    with Ports() as taken:
        yield taken


def plan(world: AuthorityWorld, ports: Ports, bpn: str = BPN) -> Plan:
    port = ports.take()
    return Plan(
        bpn=bpn,
        url=f"http://localhost:{port}",
        authority=world.did,
        bdrs=world.root,
        port=port,
        management_port=ports.take(),
    )


async def invited(world: AuthorityWorld, bpn: str = BPN) -> str:
    return str((await world.operator.post("/members", {"bpn": bpn}))["invitation"])


@asynccontextmanager
async def running(
    world: AuthorityWorld, ports: Ports, folder: Path, bpn: str
) -> AsyncIterator[tuple[Config, Client, Node]]:
    """A node that has joined and runs."""
    config = await asyncio.to_thread(prepare, plan(world, ports, bpn), folder)
    code = await invited(world, bpn)
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(wiring.start(config))
        client = await stack.enter_async_context(reached(config))
        await join(client, world.did, code)
        yield config, client, started.node


@asynccontextmanager
async def trading(
    world: AuthorityWorld, ports: Ports, folder: Path
) -> AsyncIterator[tuple[Client, Node, Client, Provider]]:
    """Two members, of which one offers a thing: the consumer and its node, and the provider as operator and partner."""
    async with (
        running(world, ports, folder / "consumer", BPN) as (_, consumer, node),
        running(world, ports, folder / "provider", OTHER) as (config, provider, _),
    ):
        await provider.assets.put("thing", data_address={"type": "HttpData", "baseUrl": "http://localhost:9/"})
        await provider.offer("thing", ["thing"], access=template("open"), contract=template("open"))
        yield consumer, node, provider, Provider(config.did, f"{config.dsp_root}/2025-1")


def known_as(peer_pid: str) -> QuerySpec:
    """What is the process of this id at the counterparty."""
    return QuerySpec(criteria=(Criterion("correlationId", "=", peer_pid),))


@asynccontextmanager
async def joined(world: AuthorityWorld, ports: Ports, folder: Path) -> AsyncIterator[tuple[Config, Client]]:
    """The same, seen from outside."""
    async with running(world, ports, folder, BPN) as (config, client, _):
        yield config, client


# --- joining


async def test_an_invitation_gets_a_new_node_its_did_and_its_credentials(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    async with reached(config) as node:
        held = await join(node, world.did, await invited(world))
        assert {name for each in held for name in each.types} == TYPES
    (member,) = [m for m in await world.operator.get("/members") if m["bpn"] == BPN]
    assert (member["standing"], member["did"]) == ("MEMBER", config.did)


async def test_joining_again_asks_for_nothing(world: AuthorityWorld, ports: Ports, tmp_path: Path) -> None:
    async with joined(world, ports, tmp_path / "node") as (_, node):
        before = await world.operator.get("/requests")
        assert len(await join(node, world.did)) == 3
        assert await world.operator.get("/requests") == before


async def test_without_an_invitation_the_authority_says_what_to_do(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    async with reached(config) as node:
        with pytest.raises(ApiError, match="ask the authority to invite you") as refusal:
            await join(node, world.did)
    assert "public.url" not in str(refusal.value), "it was heard: that is not what has to be mended"


async def test_a_partner_that_was_not_found_without_a_membership_is_found_as_soon_as_it_comes(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    await world.operator.post("/members", {"bpn": OTHER, "did": "did:web:other.example"})
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    async with wiring.start(config) as started, reached(config) as client:
        assert await started.node.directory.find(OTHER) is None
        await join(client, world.did, await invited(world))
        assert await started.node.directory.find(OTHER) == "did:web:other.example"


def test_a_folder_is_one_companys(tmp_path: Path) -> None:
    first = Plan(bpn=BPN, url="https://one.example", authority="did:web:authority.example")
    made = prepare(first, tmp_path)
    key = (tmp_path / "api-key").read_text(encoding="utf-8")
    assert prepare(first, tmp_path) == made
    assert (tmp_path / "api-key").read_text(encoding="utf-8") == key
    assert (made.identity, made.wallet_issuer) == ("dcp", "did:web:authority.example")
    with pytest.raises(Conflict):
        prepare(replace(first, url="https://two.example"), tmp_path)
    with pytest.raises(Conflict):
        prepare(replace(first, bpn="BPNL00000000NEW2"), tmp_path)


async def test_a_member_that_has_left_may_still_end_what_it_began_and_the_timeline_says_why_it_was_not_heard(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    async with trading(world, ports, tmp_path) as (consumer, _, provider, partner):
        running_still = await consumer.pull(await consumer.agree(partner, "thing"))
        dataset = (await consumer.catalogs.request(partner)).dataset("thing")
        assert dataset is not None
        await world.operator.call("DELETE", f"/members/{OTHER}")
        asked = await consumer.negotiations.start(partner, dataset.offers[0])
        await consumer.negotiations.wait(asked, "REQUESTED")
        (record,) = (await provider.negotiations.query(known_as(asked))).items
        ended = await provider.negotiations.wait(record.id, "TERMINATED")
        assert "revoked" not in str(ended.error)  # which is between us and our log
        await consumer.negotiations.wait(asked, "TERMINATED")  # the proven partner's last word, credentials or not
        history = (await consumer.negotiations.timeline(asked)).history
        (denied,) = [entry.detail for entry in history if entry.what == "denied"]  # its agreement
        assert "no MembershipCredential was presented" in denied
        assert "is revoked" in denied
        (moving,) = (await provider.transfers.query(known_as(running_still))).items
        await provider.transfers.terminate(moving.id, "we have left")
        await consumer.transfers.wait(running_still, "TERMINATED")


async def test_nobody_else_writes_into_a_timeline_that_the_partner_was_refused(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    async with trading(world, ports, tmp_path) as (consumer, node, _, partner):
        transfer = await consumer.pull(await consumer.agree(partner, "thing"))
        for sender in ("did:web:stranger.example", None, partner.id, partner.id):
            await note(node, Denied(403, "no", sender=sender, cause=f"said by {sender}"), transfer)
        history = (await consumer.transfers.timeline(transfer)).history
        (denied,) = [entry.detail for entry in history if entry.what == "denied"]  # said twice, noted once
        assert denied.endswith(f"said by {partner.id}")


# --- the doctor


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.verdict.value for finding in findings}


async def test_a_node_that_takes_part_is_healthy(world: AuthorityWorld, ports: Ports, tmp_path: Path) -> None:
    async with joined(world, ports, tmp_path / "node") as (config, node):
        findings = await diagnose(Patient.of(config))
        assert verdicts(findings).pop("TLS") == "skipped"
        assert {f.verdict for f in findings if f.check != "TLS"} == {Verdict.GOOD}, findings
        assert len(findings) == 11
        assert await node.api.post("/v3/assets/request", {}) == []  # nothing is left
        assert await node.api.post("/v3/policydefinitions/request", {}) == []


async def test_a_node_that_does_not_run_is_told_to_be_started(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    findings = await diagnose(Patient.of(config))
    seen = verdicts(findings)
    assert (seen["node"], seen["DID document"], seen["signing key"]) == ("bad", "bad", "warning")
    assert (seen["credentials"], seen["test negotiation"]) == ("skipped", "skipped")
    assert not healthy(findings)
    assert all(f.mend for f in findings if f.verdict in (Verdict.BAD, Verdict.WARNING))


async def test_keys_that_the_document_does_not_publish_are_named(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    async with joined(world, ports, tmp_path / "node") as (config, _):
        file = config.data / KEY_FILE
        before = SigningKey.from_pem(file.read_bytes(), config.did)
        rotate_node_key(file, config.did)
        (found,) = [f for f in await diagnose(Patient.of(config), negotiate=False) if f.check == "DID document"]
        assert (found.verdict, "has not this node's key" in found.what) == (Verdict.BAD, True)
        assert "restart the node" in found.mend
        replace_key(file, before)  # the document is right about the key in use; what was added by hand is not there
        kept = json.loads(former_file(file).read_text())["keys"]
        lost = SigningKey.generate(config.did)
        former_file(file).write_text(json.dumps({"keys": [*kept, {"kid": lost.kid, **lost.public_jwk()}]}))
        (found,) = [f for f in await diagnose(Patient.of(config), negotiate=False) if f.check == "DID document"]
        assert found.verdict is Verdict.BAD
        assert f"has not the former keys {lost.kid.partition('#')[2]}:" in found.what


async def test_missing_credentials_are_named(world: AuthorityWorld, ports: Ports, tmp_path: Path) -> None:
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    async with wiring.start(replace(config, wallet_issuer="")):
        findings = await diagnose(Patient.of(config))
    (missing,) = [f for f in findings if f.check == "credentials"]
    assert (missing.verdict, all(name in missing.what for name in TYPES)) == (Verdict.BAD, True)
    assert "connector join" in missing.mend
    assert verdicts(findings)["test negotiation"] == "bad"


async def test_what_was_revoked_is_noticed_although_the_last_status_list_is_still_good(
    ports: Ports, tmp_path: Path
) -> None:
    async with (
        authority_world(tmp_path / "authority", status_ttl=300) as world,
        joined(world, ports, tmp_path / "node") as (config, _),
    ):
        assert healthy(await diagnose(Patient.of(config)))
        await world.operator.call("DELETE", f"/members/{BPN}")
        findings = await diagnose(Patient.of(config))
    assert verdicts(findings)["test negotiation"] == "bad"
    (credentials,) = [f for f in findings if f.check == "credentials"]
    assert credentials.verdict is Verdict.BAD
    assert "is revoked: ask the authority why" in credentials.mend


async def test_a_status_that_partners_cannot_look_up_is_bad(ports: Ports, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        authority = await stack.enter_async_context(AsyncExitStack())
        world = await authority.enter_async_context(authority_world(tmp_path / "authority", status_ttl=300))
        config, _ = await stack.enter_async_context(joined(world, ports, tmp_path / "node"))
        await authority.aclose()
        (finding,) = [f for f in await diagnose(Patient.of(config), negotiate=False) if f.check == "credentials"]
    assert (finding.verdict, "ask the authority" in finding.mend) == (Verdict.BAD, True)
    assert world.root.partition("//")[2] in finding.what


async def test_credentials_in_a_wallet_elsewhere_are_looked_at_there(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    config = await asyncio.to_thread(prepare, plan(world, ports), tmp_path / "node")
    secret = world.root  # any text
    away = replace(config, wallet_issuer="", sts_url="http://localhost:9", sts_client_id="us", sts_client_secret=secret)
    (finding,) = [f for f in await diagnose(Patient.of(away), negotiate=False) if f.check == "credentials"]
    assert (finding.verdict, "sts.url" in finding.what) == (Verdict.SKIPPED, True)


async def test_a_clock_that_is_wrong_is_noticed(world: AuthorityWorld, ports: Ports, tmp_path: Path) -> None:
    async with joined(world, ports, tmp_path / "node") as (config, _):
        late = replace(Patient.of(config), now_s=lambda: time.time() - 60)
        (finding,) = [f for f in await diagnose(late, negotiate=False) if f.check == "clock"]
        assert (finding.verdict, "NTP" in finding.mend) == (Verdict.BAD, True)


async def test_a_credential_that_ends_soon_is_a_warning(world: AuthorityWorld, ports: Ports, tmp_path: Path) -> None:
    async with joined(world, ports, tmp_path / "node") as (config, _):
        later = replace(Patient.of(config), now_s=lambda: time.time() + 350 * 86_400)
        assert verdicts(await diagnose(later, negotiate=False))["credentials"] == "warning"


BROKEN: dict[str, tuple[Callable[[Config], Config], str]] = {
    "another key in the document": (lambda c: replace(c, key=c.data / "other.pem"), "DID document"),
    "another address": (lambda c: replace(c, url="http://localhost:9"), "protocol address"),
    "a wrong API key": (lambda c: replace(c, management_key="another key"), "node"),
    "a wrong number": (lambda c: replace(c, bpn="BPNL00000000NEW2"), "directory"),
    "an issuer that is not there": (
        lambda c: replace(c, trusted_issuers={"did:web:localhost%3A9": ("*",)}),
        "issuers",
    ),
    "a directory that says otherwise": (
        lambda c: replace(c, directory={BPN: "did:web:other.example"}),
        "directory",
    ),
}


@pytest.mark.parametrize(("change", "check"), BROKEN.values(), ids=BROKEN)
async def test_what_is_broken_is_named_with_its_remedy(
    world: AuthorityWorld, ports: Ports, tmp_path: Path, change: Callable[[Config], Config], check: str
) -> None:
    async with joined(world, ports, tmp_path / "node") as (config, _):
        await asyncio.to_thread(load_or_create, config.data / "other.pem", config.did)
        (finding,) = [f for f in await diagnose(Patient.of(change(config)), negotiate=False) if f.check == check]
        assert finding.verdict in (Verdict.BAD, Verdict.WARNING)
        assert finding.mend


# --- many companies


def table(folder: Path, *lines: str, head: str = "name,bpn,url,port,management_port") -> Path:
    file = folder / "companies.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("lines", "pointer"),
    [
        (["One,BPNL1,http://localhost:1,1,2"], "/2/bpn"),
        ([f"One,{BPN},,1,2"], "/2"),
        ([f"One,{BPN},http://localhost:1,one,2"], "/2/port"),
        ([f"One,{BPN},http://localhost:1,1,"], "/2/port"),
        ([f"One,{BPN},http://localhost:1,1,2", f"Two,{BPN},http://localhost:3,3,4"], "/3"),
        ([f"One,{BPN},http://localhost:1,1,2", "Two,BPNL00000000NEW2,http://localhost:2,1,4"], "/3"),
        ([], ""),
    ],
)
def test_a_table_with_a_mistake_is_refused_with_its_line(tmp_path: Path, lines: list[str], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_companies(table(tmp_path, *lines))
    assert caught.value.pointer == pointer


async def test_companies_become_members_with_nodes_and_a_sheet(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    companies = [
        Company(f"Company {n}", f"BPNL000000000NO{n}", f"http://localhost:{port}", port, ports.take())
        for n in range(3)
        for port in (ports.take(),)
    ]
    elsewhere = Company("=Elsewhere", "BPNL0000ELSEWHER", "https://elsewhere.example")
    into = Onboarding(world.did, world.root, tmp_path / "companies")
    rows = await onboard([*companies, elsewhere], into, world.operator)
    assert [row.state for row in rows] == ["ready", "ready", "ready", "invited"], rows
    again = await onboard([*companies, elsewhere], into, world.operator)
    assert [row.state for row in again] == ["ready", "ready", "ready", "invited"]
    assert len(await world.operator.get("/credentials")) == 9
    await asyncio.to_thread(write_sheet, tmp_path / "sheet.csv", rows)
    lines = await asyncio.to_thread(_read, tmp_path / "sheet.csv")
    assert [line["state"] for line in lines] == ["ready", "ready", "ready", "invited"]
    assert all(set(line["credentials"].split()) == TYPES for line in lines[:3])
    assert lines[3]["name"] == "'=Elsewhere"
    assert "invitation" in lines[3]["next step"]


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


async def test_what_goes_wrong_with_one_company_stops_nobody_else(
    world: AuthorityWorld, ports: Ports, tmp_path: Path
) -> None:
    port = ports.take()
    good = Company("Good", BPN, f"http://localhost:{port}", port, ports.take())
    unreachable = Company("Bad", "BPNL00000000NEW2", "http://localhost:9", ports.take(), ports.take())
    into = Onboarding(world.did, world.root, tmp_path / "companies", wait_s=1)
    rows = await onboard([unreachable, good], into, world.operator)
    assert [row.state for row in rows] == ["not ready", "ready"]
    wrong, step = rows[0].cells()[-2:]
    assert "fetches the node's DID document at public.url" in wrong
    assert "again" in step
    assert json.dumps([f.to_json() for row in rows for f in row.findings])
