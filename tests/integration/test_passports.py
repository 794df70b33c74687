"""One passport, three readers: each sees its own view over HTTP, and all of them can prove it."""

import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from connector.client import ApiError, For, template
from connector.dataplane import passports as passport_source
from connector.demo_data import PASSPORT_SEMANTIC_ID, passports
from connector.exchange import passport_views
from connector.exchange import passports as passports_module
from connector.exchange.passports import PassportOffer, publish_passport
from connector.exchange.ports import Twin, TwinRegistry, Tx
from connector.exchange.turns import Turns
from connector.exchange.twins import twin_id
from connector.http.management import passports as management
from connector.identity.did import keys_in
from connector.identity.keys import SigningKey
from connector.passport import notary
from connector.passport.audiences import Reading, lattice
from connector.passport.disclosure import class_map
from connector.passport.report import Bundle, verify
from connector.passport.sdjwt import Disclosure, SdJwt
from connector.passport.signature import check_digest, key_id
from connector.passport.signature import verify as verify_signature
from connector.protocol.errors import Invalid
from tests.integration.passport_world import (
    AUTHORITY,
    KEY,
    MAKER,
    OEM,
    PARTNER_CLASSES,
    RECYCLER,
    STRANGER,
    World,
    world,
)

READINGS = {
    OEM: Reading("partner", "cx.circular.dpp:1", classes=frozenset(PARTNER_CLASSES)),
    RECYCLER: Reading("interest", "recycle"),
    AUTHORITY: Reading("authority", "surveillance"),
}
TESTS, USE = "/conformity/resultOfTestReport", "/performance/dynamic/stateOfCharge"


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, MAKER, OEM, RECYCLER, AUTHORITY, STRANGER) as it:
        yield it


def passport() -> dict[str, Any]:
    return passports()[0]


def serial() -> str:
    return str(passport()["identification"]["identification"]["serial"][1]["value"])


def identifier() -> str:
    return str(passport()["metadata"]["passportIdentifier"])


def expected(reader: str) -> dict[str, Any]:
    classes = lattice().classes(READINGS[reader], identifier())
    return class_map().project(passport(), classes)


def leaves(value: object) -> Iterator[str]:
    """Every text and number, however deep, as it stands in JSON."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield json.dumps(value, ensure_ascii=False)


async def test_each_reader_sees_its_own_view_and_proves_it(nodes: World) -> None:
    published = await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    assert (published["version"], published["new"], published["serial"]) == (1, True, serial())
    for reader in READINGS:
        got = await nodes.fetch(reader, serial())
        assert got["ok"], got
        assert (got["model"]["verdict"], got["model"]["namedBy"]) == ("valid", "payload")
        assert got["bundle"]["aspect"] == expected(reader)
        shown = {row["field"] for row in got["report"]["fields"]}
        assert shown == set(class_map().split(expected(reader)).fields)
        assert {row["issuer"] for row in got["report"]["fields"]} == {nodes[MAKER].did}
        assert (TESTS in shown) is (reader in {OEM, AUTHORITY})
        assert (USE in shown) is (reader in {OEM, RECYCLER})


async def test_no_field_outside_the_intersection_ever_leaves(nodes: World) -> None:
    """In no body and no header field of any answer is there a value that only withheld fields have."""
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    for reader in READINGS:
        visible = set(leaves(expected(reader)))
        secret = {text for text in leaves(passport()) if text not in visible and len(text) > len('"12"')}
        assert secret
        for path in ("", "/submodel/$value", "/credential?nonce=n"):
            status, headers, body = await nodes.pulled(reader, identifier(), path)
            assert status == 200
            told = body.decode() + json.dumps(headers)
            if path.startswith("/credential"):
                told += "".join(json.dumps(d.value) for d in disclosed(body.decode()))
            assert [text for text in secret if text in told] == []


def disclosed(presentation: str) -> list[Disclosure]:
    return [Disclosure.parse(encoded) for encoded in SdJwt.parse(presentation).disclosures]


async def test_a_consumer_that_knows_nothing_of_this_gets_the_plain_signed_aspect(nodes: World) -> None:
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    _, headers, body = await nodes.pulled(RECYCLER, identifier())
    assert json.loads(body) == expected(RECYCLER)
    assert headers["content-type"] == "application/json"
    assert headers["payload-semantic-id"] == PASSPORT_SEMANTIC_ID
    assert headers["payload-disclosure"].split() == ["individual", "public-model", "restricted-model"]
    check_digest(body, headers["content-digest"])
    keys = keys_in(await nodes[RECYCLER].running.node.notary.did_document(nodes[MAKER].did))
    assert verify_signature(json.loads(body), headers["payload-signature"], keys).did == nodes[MAKER].did
    assert key_id(headers["payload-signature"]).startswith(nodes[MAKER].did)
    fetched = await nodes[RECYCLER].client.obtain(await nodes.maker(RECYCLER), identifier())
    assert fetched.verified is not None
    assert fetched.verified.ok


async def test_whoever_is_not_offered_it_finds_nothing(nodes: World) -> None:
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    with pytest.raises(ApiError, match="offers no passport"):
        await nodes.fetch(STRANGER, serial())


async def test_an_offer_that_names_no_audience_gives_what_everybody_may_see(nodes: World) -> None:
    maker = nodes[MAKER].client
    await maker.passports.publish(passport())
    policy = nodes.offer(STRANGER, "", "").access
    assert isinstance(policy, dict)
    await maker.offer("plain", [identifier()], access=policy, contract=policy)
    got = await nodes.fetch(STRANGER, serial())
    assert got["bundle"]["aspect"] == class_map().project(passport(), {"public-model"})


async def test_a_group_sees_what_it_is_offered_until_it_is_left(nodes: World) -> None:
    maker = nodes[MAKER].client
    member = {"@id": nodes[OEM].bpn, "groups": ["repairers"]}
    await maker.api.post("/v3/business-partner-groups", member)
    asks = {"leftOperand": "BusinessPartnerGroup", "operator": "isAnyOf", "rightOperand": ["repairers"]}
    policy = {"permission": [{"action": "use", "constraint": [asks]}]}
    await maker.passports.publish(passport(), [For("interest", "recycle", policy, policy)])
    assert (await nodes.fetch(OEM, serial()))["bundle"]["aspect"] == expected(RECYCLER)
    await maker.api.put("/v3/business-partner-groups", member | {"groups": []})
    with pytest.raises(ApiError, match="offers no passport"):
        await nodes.fetch(OEM, serial())


async def test_an_authority_in_the_group_reads_on_the_ready_terms_until_it_is_taken_out(
    nodes: World, tmp_path: Path
) -> None:
    file = tmp_path / "passport.json"
    file.write_text(json.dumps(passport()))
    url = f"{nodes[MAKER].running.management.url}/management"
    publishing = ("passport", "publish", file, "--for", "authority:surveillance")
    code, said = await command({"CONNECTOR_URL": url, "CONNECTOR_API_KEY": KEY}, *publishing)
    assert (code, "(access access-authority, usage authority-usage)" in said) == (0, True), said
    with pytest.raises(ApiError, match="offers no passport"):
        await nodes.fetch(AUTHORITY, serial())
    member = {"@id": nodes[AUTHORITY].bpn, "groups": ["authorities"]}
    await nodes[MAKER].client.api.post("/v3/business-partner-groups", member)
    assert (await nodes.fetch(AUTHORITY, serial()))["bundle"]["aspect"] == expected(AUTHORITY)
    await nodes[MAKER].client.api.put("/v3/business-partner-groups", member | {"groups": []})
    with pytest.raises(ApiError, match="offers no passport"):
        await nodes.fetch(AUTHORITY, serial())


async def test_a_withdrawn_offer_takes_its_classes_from_agreements_on_it(nodes: World) -> None:
    maker = nodes[MAKER].client
    published = await maker.passports.publish(passport(), nodes.offers)
    assert (await nodes.fetch(OEM, serial()))["bundle"]["aspect"] == expected(OEM)
    policy = nodes.offer(OEM, "", "").access
    assert isinstance(policy, dict)
    await maker.offer("plain", [identifier()], access=policy, contract=policy)
    for definition in published["offers"]:
        await maker.definitions.remove(definition)
    got = await nodes.fetch(OEM, serial())  # under the agreement that is there
    assert got["bundle"]["aspect"] == class_map().project(passport(), {"public-model"})
    assert (await nodes[OEM].client.agreements.query()).total == 1


async def test_with_another_class_map_nothing_leaves_until_the_passport_is_published_again(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = nodes[MAKER].client
    await maker.passports.publish(passport(), nodes.offers)
    known = replace(class_map(), edition="next")
    for module in (passport_views, passports_module, notary):
        monkeypatch.setattr(module, "class_map", lambda: known)
    with pytest.raises(ApiError, match="answered 500"):
        await nodes.fetch(RECYCLER, serial())
    with pytest.raises(ApiError, match="has next: publish it again"):
        await maker.passports.view(identifier(), "public")
    again = await maker.passports.publish(passport(), nodes.offers)
    assert (again["version"], again["new"]) == (2, True)
    got = await nodes.fetch(RECYCLER, serial())
    assert (got["bundle"]["aspect"], got["report"]["passport"]["classMap"]) == (expected(RECYCLER), "next")


async def test_what_a_former_key_has_signed_is_signed_anew_when_it_is_published_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, MAKER) as nodes:
        node, publish = nodes[MAKER].running.node, nodes[MAKER].client.passports.publish
        await publish(passport())
        new = SigningKey.generate(node.id)
        monkeypatch.setattr(node.notary, "_key", new)
        found = [await publish(passport()) for _ in range(2)]
        assert [(done["version"], done["new"]) for done in found] == [(2, True), (2, False)]
        latest = await node.store.read(lambda tx: passport_views.newest(tx, identifier()))
        assert latest is not None
        assert latest.issued.kid == new.kid


async def test_a_new_version_is_served_to_who_has_an_agreement_and_names_the_one_before(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, changed = nodes[MAKER].client, passport()
    await maker.passports.publish(passport(), nodes.offers)
    first = await nodes.fetch(RECYCLER, serial())
    changed["performance"]["dynamic"]["stateOfCharge"]["value"] = 12.5
    second = await maker.passports.publish(changed)
    assert (second["version"], second["new"]) == (2, True)
    again = await maker.passports.publish(changed)
    assert (again["version"], again["new"]) == (2, False)
    got = await nodes.fetch(RECYCLER, serial())
    assert got["ok"]
    assert got["bundle"]["aspect"]["performance"]["dynamic"]["stateOfCharge"]["value"] == 12.5
    assert (got["report"]["passport"]["version"], first["report"]["passport"]["version"]) == (2, 1)
    assert got["report"]["passport"]["supersedes"] is not None
    kept = await maker.passports.get(identifier())
    assert [version["version"] for version in kept["versions"]] == [2, 1]
    monkeypatch.setattr(management, "_VERSIONS", 1)
    kept = await maker.passports.get(identifier())
    assert [version["version"] for version in kept["versions"]] == [2]
    assert (await maker.passports.get(identifier(), version=1))["passport"] == passport()


async def test_the_passport_of_another_battery_is_no_answer_however_well_it_is_signed(
    nodes: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for doc in passports()[:2]:
        await nodes[MAKER].client.passports.publish(doc, nodes.offers)
    other = str(passports()[1]["metadata"]["passportIdentifier"])
    monkeypatch.setattr(passport_source, "newest", lambda tx, _: passport_views.newest(tx, other))
    got = await nodes.fetch(OEM, serial())
    failed = {name: check["detail"] for name, check in got["report"]["checks"].items() if not check["ok"]}
    assert (got["ok"], set(failed)) == (False, {"credential"})
    assert f"of {other}" in failed["credential"]
    assert f"asked for was {identifier()}" in failed["credential"]


async def test_one_flipped_byte_is_caught_and_named(nodes: World) -> None:
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    got = (await nodes.fetch(OEM, serial()))["bundle"]
    keys = keys_in(got["didDocument"])
    assert verify(Bundle.parse(got), keys).ok
    aspect = json.loads(json.dumps(got["aspect"]).replace("NMC811", "NMC812", 1))
    named = verify(Bundle.parse(got | {"aspect": aspect}), keys)
    assert not named.ok
    assert "/identification/chemistry" in named.checks["aspect"].detail
    jwt, *disclosures = got["credential"].split("~")
    number = 12
    spoilt = disclosures[number]
    disclosures[number] = spoilt[:-2] + ("A" if spoilt[-2] != "A" else "B") + spoilt[-1]
    flipped = verify(Bundle.parse(got | {"credential": "~".join((jwt, *disclosures))}), keys)
    assert not flipped.checks["credential"].ok
    assert f"/disclosures/{number}" in flipped.checks["credential"].detail
    assert flipped.credential is None


async def test_a_bundle_cannot_be_replayed_into_another_contract(nodes: World) -> None:
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    got = (await nodes.fetch(OEM, serial()))["bundle"]
    for member in ("agreementId", "audience", "nonce"):
        report = verify(Bundle.parse(got | {member: "another"}), keys_in(got["didDocument"]))
        assert not report.checks["binding"].ok
        assert report.checks["credential"].ok


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda p: p["conformity"].pop("resultOfTestReport"), "/passport/conformity"),
        (lambda p: p["safety"].update(dismantling=[]), "/passport/safety/dismantling"),
        (lambda p: p["identification"].update(category="SLI"), "/passport/identification/category"),
        (lambda p: p.update(secret={"recipe": 1}), "/passport/secret"),
        (lambda p: p["materials"]["active"]["nickel"].update(supplier="secret"), "/passport/materials/active/nickel"),
        (lambda p: p["safety"]["dismantling"][0].update(price=1), "/passport/safety/dismantling/0"),
    ],
)
async def test_a_passport_that_is_not_right_is_refused_with_the_place(
    tmp_path: Path, change: Callable[[Any], object], place: str
) -> None:
    async with world(tmp_path, MAKER) as nodes:
        spoilt = passport()
        change(spoilt)
        with pytest.raises(ApiError) as refused:
            await nodes[MAKER].client.passports.publish(spoilt)
        assert (refused.value.status, refused.value.pointer) == (400, place)
        with pytest.raises(ApiError) as unknown:
            await nodes[MAKER].client.passports.get(identifier())
        assert unknown.value.status == 404


async def test_a_credential_is_made_out_for_one_nonce(nodes: World) -> None:
    await nodes[MAKER].client.passports.publish(passport(), nodes.offers)
    assert (await nodes.pulled(OEM, identifier(), "/credential"))[0] == 400
    assert (await nodes.pulled(OEM, identifier(), "/elsewhere"))[0] == 404


async def test_the_commands_do_the_whole_story(nodes: World, tmp_path: Path) -> None:
    file, kept = tmp_path / "passport.json", tmp_path / "bundle.json"
    file.write_text(json.dumps(passport()))

    async def run(reader: str, *arguments: object) -> tuple[int, str]:
        url = f"{nodes[reader].running.management.url}/management"
        return await command({"CONNECTOR_URL": url, "CONNECTOR_API_KEY": KEY}, "passport", *arguments)

    code, said = await run(MAKER, "publish", file, "--for", f"interest:recycle={nodes[RECYCLER].bpn}")
    assert (code, "published version 1" in said, "early: 24 recycled content" in said) == (0, True, True), said
    code, said = await run(MAKER, "check", file, "--date", "2029-01-01")
    assert (code, "EV at 2029-01-01: complete" in said) == (0, True), said
    code, said = await run(MAKER, "show", identifier(), "--as", "authority:surveillance", "--json")
    assert json.loads(said)["passport"] == expected(AUTHORITY)
    code, said = await run(MAKER, "show", identifier())
    assert (code, serial() in said) == (0, True)
    fetching = ("fetch", "--from", nodes[MAKER].did, "--serial", serial(), "--output", kept)
    code, said = await run(RECYCLER, *fetching)
    assert (code, f"written to {kept}" in said) == (0, True), said
    assert (await run(RECYCLER, "verify", kept))[0] == 0
    assert json.loads(kept.read_text())["aspect"] == expected(RECYCLER)
    code, said = await run(STRANGER, *fetching)
    assert (code, "offers no passport" in said) == (1, True)


async def test_the_page_shows_what_its_commands_print(nodes: World, tmp_path: Path) -> None:
    """Every block of publish-passports.md, by the maker or by the recycler; numbers may differ."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "publish-passports.md").read_text(encoding="utf-8")
    (tmp_path / "passport.json").write_text(json.dumps(passport()))
    blocks = re.findall(r"```console\n\$ connector (.+)\n(.+)\n```", page)
    assert len(blocks) == page.count("```console")
    for line, shown in blocks:
        reader = RECYCLER if "fetch" in line or "verify" in line else MAKER
        url = f"{nodes[reader].running.management.url}/management"
        arguments = shlex.split(line.replace("did:web:maker.example", nodes[MAKER].did))
        environment = {"CONNECTOR_URL": url, "CONNECTOR_API_KEY": KEY}
        code, said = await command(environment, *arguments, folder=tmp_path)
        told = said.replace(nodes[MAKER].did, "did:web:maker.example").splitlines()
        expected = masked(shown.partition("#...")[0])
        assert code == 0, said
        assert [t for t in told if masked(t).startswith(expected)], said


def masked(text: str) -> str:
    return re.sub(r"[0-9]+", "0", text)


async def command(environment: dict[str, str], *arguments: object, folder: Path | None = None) -> tuple[int, str]:
    """Run a command of ours as a process, so that the nodes of this one can answer it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "connector", *map(str, arguments)),
        cwd=folder,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_published_passports_are_announced_with_who_may_find_them(nodes: World) -> None:
    """What is registered is part of the transaction that publishes."""
    announced: list[Twin] = []

    class Registry(TwinRegistry):
        @override
        def register(self, tx: Tx, twin: Twin, now: int) -> None:
            announced.append(twin)

        @override
        def withdraw(self, tx: Tx, passport_id: str) -> None:
            raise AssertionError("nothing was withdrawn")

    node = replace(nodes[MAKER].running.node, twins=Registry())
    policies = {reader: f"{reader}-only" for reader in (OEM, RECYCLER)}
    for reader, name in policies.items():
        await nodes[MAKER].client.policies.create(name, template("by-bpn", [nodes[reader].bpn]))
    offers = [PassportOffer(READINGS[reader], name, name) for reader, name in policies.items()]
    await publish_passport(node, passport(), offers)
    (twin,) = announced
    assert (twin.serial, twin.asset_id, twin.semantic_ids) == (serial(), identifier(), (PASSPORT_SEMANTIC_ID,))
    assert {policy.id for policy in twin.policies} == set(policies.values())
    with pytest.raises(Invalid, match="create it first"):
        await publish_passport(node, passport(), [PassportOffer(READINGS[OEM], "gone", "gone")])


async def test_with_the_asset_goes_the_twin_and_it_comes_back_with_it(tmp_path: Path) -> None:
    async with world(tmp_path, MAKER, OEM) as nodes:
        maker, store = nodes[MAKER].client, nodes[MAKER].running.node.store

        async def policies() -> tuple[str, ...] | None:
            twin = await store.read(lambda tx: tx.twins.find(twin_id(identifier())))
            return None if twin is None else twin.policies

        offers = [nodes.offer(OEM, "interest", "recycle")]
        await maker.passports.publish(passport(), offers)
        announced = await policies()
        assert announced
        await maker.assets.remove(identifier())
        assert await policies() is None
        await maker.passports.publish(passport())
        assert await policies() == ()
        await maker.passports.publish(passport(), offers)
        assert await policies() == announced


async def test_all_who_publish_at_once_make_a_version_each(tmp_path: Path) -> None:
    async with world(tmp_path, MAKER) as nodes:
        maker = nodes[MAKER].client.passports

        async def publish(charge: float) -> tuple[int, bool]:
            doc = passport()
            doc["performance"]["dynamic"]["stateOfCharge"]["value"] = charge
            done = await maker.publish(doc)
            return int(done["version"]), done["new"]

        many = 12
        assert sorted(await asyncio.gather(*map(publish, range(many)))) == [(n + 1, True) for n in range(many)]
        kept = [await maker.get(identifier(), version=n + 1) for n in range(many)]
        charges = [doc["passport"]["performance"]["dynamic"]["stateOfCharge"]["value"] for doc in kept]
        assert sorted(charges) == list(range(many))
        same = await asyncio.gather(*(publish(50) for _ in range(many)))
        assert sorted(same) == [(many + 1, False)] * (many - 1) + [(many + 1, True)]


async def test_replicas_that_publish_at_once_make_a_version_each(tmp_path: Path) -> None:
    """Each waits for its own only: what another one has stored meanwhile is found out by the transaction."""
    async with world(tmp_path, MAKER) as nodes:
        node = nodes[MAKER].running.node
        replicas = [replace(node, publications=Turns()) for _ in range(6)]
        docs = [passport() for _ in replicas]
        for charge, doc in enumerate(docs):
            doc["performance"]["dynamic"]["stateOfCharge"]["value"] = charge
        done = await asyncio.gather(*map(publish_passport, replicas, docs))
        assert sorted(published.version.number for published in done) == [1, 2, 3, 4, 5, 6]
