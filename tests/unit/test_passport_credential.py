"""The passport credential: what it shows, what it hides, and what a bundle proves of it."""

import base64
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from connector.identity.did import did_document, keys_in
from connector.passport import credential, sdjwt
from connector.passport.audiences import EVERYBODY, Reading, lattice
from connector.passport.credential import Credential
from connector.passport.disclosure import assemble, class_map
from connector.passport.report import Bundle, verify
from connector.passport.sdjwt import Jwt, SdJwt
from connector.passport.signature import sign
from connector.protocol.errors import Invalid, PeerError
from tests.unit.passport_world import (
    AUTHORITY,
    KEY,
    MAKER,
    NOW,
    OTHER,
    PARTNER,
    PASSPORT_ID,
    READER,
    RECYCLER,
    about,
    bundle,
    issued,
    passport,
    presented,
    salts,
)

KEYS = keys_in(did_document(MAKER, [KEY]))
MAP = class_map()


@pytest.mark.parametrize("reading", [EVERYBODY, RECYCLER, AUTHORITY, PARTNER])
def test_a_reader_gets_its_classes_and_digests_of_the_rest(reading: Reading) -> None:
    classes = lattice().classes(reading, PASSPORT_ID)
    found = Credential.read(presented(reading).text, KEYS)
    assert found.passport == MAP.project(passport(), classes)
    assert {shown.disclosure_class for shown in found.shown} <= classes
    hidden = [name for name, _ in found.hidden if name not in classes]
    assert len(hidden) == sum(group.disclosure_class not in classes for group in MAP.groups)
    assert (found.issuer, found.kid, found.about.version) == (MAKER, KEY.kid, 1)


def test_groups_of_another_edition_of_the_map_are_not_shown() -> None:
    """A class may have got narrower since; one signature cannot be cut anew."""
    with pytest.raises(Invalid, match="has next: publish it again"):
        credential.present(issued(), replace(MAP, edition="next"), MAP.classes)


def test_a_credential_that_no_reader_would_take_is_not_signed() -> None:
    """With a key-binding JWT, however long the names in it, the longest one that is signed is still read."""
    long = passport()
    long["identification"]["chemistry"] = ""
    empty = issued(long)
    room = credential.MAX_CHARS - len(SdJwt(empty.jwt, tuple(made.encoded for made in empty.disclosures)).text)
    long["identification"]["chemistry"] = "x" * (room * 3 // 4)
    bound = presented(PARTNER, issued(long), audience="did:web:" + "r" * 2040, nonce="n" * 256)
    assert Credential.read(bound.text, KEYS).passport["identification"]["chemistry"]
    long["identification"]["chemistry"] += "x" * 4096
    with pytest.raises(Invalid, match="too long: as a credential it has"):
        issued(long)


def test_all_readers_of_a_version_hold_the_same() -> None:
    made = issued()
    recycler = Credential.read(presented(RECYCLER, made).text, KEYS)
    authority = Credential.read(presented(AUTHORITY, made).text, KEYS)
    assert {s.place: s.digest for s in recycler.shown}["/materials/composition"] == (
        {s.place: s.digest for s in authority.shown}["/materials/composition"]
    )


def test_presence_is_no_information() -> None:
    """Without the accident entry there are as many digests, and nothing else that a stranger to the class can see."""
    without = passport()
    del without["performance"]["dynamic"]["negativeEvents"]
    del without["sources"]
    counts = []
    for doc in (passport(), without):
        payload = Jwt.parse(presented(AUTHORITY, issued(doc)).jwt, "it").payload
        counts.append({name: len(groups["_sd"]) for name, groups in payload["groups"].items()})
        for groups in payload["groups"].values():
            assert groups["_sd"] == sorted(groups["_sd"])
    assert counts[0] == counts[1] == Counter(group.disclosure_class for group in MAP.groups)
    assert len(issued(without).disclosures) == len(issued().disclosures) - 2


def test_nothing_in_clear_tells_what_is_hidden() -> None:
    """No value of the passport, and no digest of the whole by which a guess could be tried."""
    payload = Jwt.parse(issued().jwt, "it").payload
    assert payload.keys() == {
        *("iss", "iat", "vct", "sub", "cnf", "aspect", "version", "class_map", "completeness", "groups", "_sd_alg")
    }
    one, other = (Jwt.parse(issued(seed=seed).jwt, "it").payload["groups"] for seed in "ab")
    for name, groups in one.items():
        assert not set(groups["_sd"]) & set(other[name]["_sd"])


def test_too_few_salts_are_refused() -> None:
    few = (salt for salt, _ in zip(salts(), range(3), strict=False))
    with pytest.raises(Invalid, match="fewer salts"):
        credential.issue(about(), MAP.split(passport()).fields, MAP, KEY, few)


def changed_payload(**members: Any) -> str:
    payload = {**Jwt.parse(issued().jwt, "it").payload, **members}
    return sdjwt.sign({k: v for k, v in payload.items() if v is not None}, KEY, credential.TYPE) + "~"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"vct": "other"}, "not a passport credential"),
        ({"iss": "did:web:other.example"}, "names an issuer"),
        ({"version": "1"}, "lacks"),
        ({"version": True}, "lacks"),
        ({"sub": None}, "lacks"),
        ({"supersedes": 3}, "version before"),
        ({"groups": []}, "no groups"),
        ({"groups": {"public-model": []}}, "not an object of groups"),
        ({"groups": {"public-model": {"plain": 1}}}, "not made of fields"),
        ({"groups": {"public-model": {"plain": {"/a": 1}}}}, "not made of fields"),
        ({"iat": NOW // 1000 + 1}, "in the future"),
    ],
)
def test_a_credential_that_contradicts_itself_is_refused(members: dict[str, Any], reason: str) -> None:
    with pytest.raises(PeerError, match=reason):
        Credential.read(changed_payload(**members), KEYS, lambda at: at <= NOW // 1000)


def test_another_type_of_token_is_no_credential() -> None:
    token = sdjwt.sign(Jwt.parse(issued().jwt, "it").payload, KEY, "JWT")
    with pytest.raises(PeerError, match="not a passport credential"):
        Credential.read(f"{token}~", KEYS)


def test_a_file_proves_every_field_offline() -> None:
    report = verify(Bundle.parse(json.loads(json.dumps(bundle().to_json()))), KEYS)
    assert report.ok
    doc = report.to_json()
    row = next(row for row in doc["fields"] if row["field"] == "/materials/composition")
    assert (row["class"], row["issuer"], row["key"]) == ("restricted-model", MAKER, KEY.kid)
    assert row["issuedAt"] == NOW // 1000 * 1000
    assert {hidden.keys() == {"class", "digest"} for hidden in doc["hidden"]} == {True}


def flipped(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def test_every_flipped_character_of_a_credential_is_caught() -> None:
    text = bundle().presentation
    for at in range(0, len(text), 97):
        if text[at] in "~.":
            continue
        report = verify(bundle(presentation=flipped(text, at)), KEYS)
        assert not report.ok, at


def test_a_changed_group_is_named() -> None:
    presentation = SdJwt.parse(bundle().presentation)
    number = next(
        i for i, d in enumerate(presentation.disclosures) if sdjwt.Disclosure.parse(d).name == "materials/composition"
    )
    raw = base64.urlsafe_b64decode(presentation.disclosures[number] + "==")
    spoilt = base64.urlsafe_b64encode(raw.replace(b"25.4", b"26.4")).rstrip(b"=").decode()
    disclosures = (*presentation.disclosures[:number], spoilt, *presentation.disclosures[number + 1 :])
    text = replace(presentation, disclosures=disclosures).text
    report = verify(bundle(presentation=text), KEYS)
    detail = report.checks["credential"].detail
    assert "materials/composition" in detail
    assert f"/disclosures/{number}" in detail
    assert report.credential is None
    assert report.to_json()["fields"] == []


def test_a_changed_aspect_is_named() -> None:
    aspect: dict[str, Any] = json.loads(json.dumps(bundle().aspect))
    aspect["performance"]["dynamic"]["fullCycles"]["value"] = 1
    report = verify(bundle(aspect=aspect), KEYS)
    assert report.checks["credential"].ok
    assert "/performance/dynamic/fullCycles/value" in report.checks["aspect"].detail


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"audience": "did:web:else.example"}, "binding"),
        ({"nonce": "m"}, "binding"),
        ({"agreement_id": "b"}, "binding"),
        ({"fetched_at": NOW + 3_600_000}, "binding"),
        ({"fetched_at": NOW - 3_600_000}, "credential"),
        ({"semantic_id": "urn:samm:x:1.0.0#X"}, "aspect"),
        ({"aspect_signature": "x"}, "aspect"),
        ({"presentation": "x"}, "credential"),
        ({"presentation": issued().jwt + "~"}, "binding"),
        ({"did_document": did_document("did:web:other.example", [OTHER])}, "issuer"),
    ],
)
def test_what_does_not_hold_is_named(changed: dict[str, Any], check: str) -> None:
    report = verify(bundle(**changed), KEYS)
    assert not report.checks[check].ok
    assert not report.ok


def changed_by_its_issuer(place: str, value: object, *, edition: str | None = None) -> Bundle:
    """A bundle in which everything is signed as it should be, and one field is not as the aspect model has it."""
    known = class_map() if edition is None else replace(class_map(), edition=edition)
    fields = {**known.split(passport()).fields, place: value}
    told = replace(about(), class_map=known.edition)
    made = credential.issue(told, fields, known, KEY, salts())
    granted = lattice().classes(RECYCLER, PASSPORT_ID)
    bound = {"audience": READER, "nonce": "n-1", credential.AGREEMENT: "agreement-1"}
    shown = sdjwt.bind(credential.present(made, known, granted), KEY, now_s=NOW // 1000, **bound)
    aspect = known.project(assemble(fields), granted)
    return bundle(presentation=shown.text, aspect=aspect, aspect_signature=sign(aspect, KEY))


def test_what_breaks_the_model_is_named_however_well_it_is_signed() -> None:
    assert verify(bundle(), KEYS).checks["model"].detail.endswith("showing individual, public-model, restricted-model")
    report = verify(changed_by_its_issuer("/identification/category", "SPACESHIP"), KEYS)
    assert [name for name, check in report.checks.items() if not check.ok] == ["model"]
    assert report.checks["model"].detail.startswith("/identification/category: ")


def test_an_issuer_that_contradicts_itself_about_which_passport_it_is_is_named() -> None:
    other = "urn:uuid:00000000-0000-4000-8000-000000000001"
    report = verify(changed_by_its_issuer("/metadata/passportIdentifier", other), KEYS)
    assert [name for name, check in report.checks.items() if not check.ok] == ["identifier"]
    detail = report.checks["identifier"].detail
    assert detail.startswith(f"the credential is about {PASSPORT_ID}; the passport in it says {other}")
    bare = verify(changed_by_its_issuer("/metadata/passportIdentifier", PASSPORT_ID.removeprefix("urn:uuid:")), KEYS)
    assert bare.ok  # the aspect allows both spellings of the same


def test_where_the_identifier_is_not_visible_the_report_says_that_nothing_was_compared() -> None:
    shown = SdJwt.parse(bundle().presentation)
    left = sdjwt.select(
        [sdjwt.Disclosure.parse(text) for text in shown.disclosures], lambda d: d.name != "metadata/passport"
    )
    check = verify(bundle(presentation=replace(shown, disclosures=left).text), KEYS).checks["identifier"]
    assert (check.ok, check.detail.startswith("not compared")) == (True, True)


def test_a_passport_by_another_edition_of_the_class_map_is_not_held_to_the_model_and_the_report_says_so() -> None:
    report = verify(changed_by_its_issuer("/identification/category", "SPACESHIP", edition="2031-01-01"), KEYS)
    assert report.ok
    assert report.checks["model"].detail.startswith("not checked: other edition (")
    assert "edition 2031-01-01 of the class map" in report.checks["model"].detail


def test_a_passport_that_was_not_asked_for_is_named() -> None:
    assert verify(bundle(), KEYS, passport_id=PASSPORT_ID).ok
    report = verify(bundle(), KEYS, passport_id="urn:uuid:another")
    assert [name for name, check in report.checks.items() if not check.ok] == ["credential"]
    assert f"of {PASSPORT_ID}" in report.checks["credential"].detail
    assert "asked for was urn:uuid:another" in report.checks["credential"].detail


def test_keys_of_somebody_else_prove_nothing() -> None:
    report = verify(bundle(), keys_in(did_document("did:web:other.example", [OTHER])))
    assert [name for name, check in report.checks.items() if check.ok] == []


def test_a_presentation_bound_by_another_party_is_refused() -> None:
    shown = SdJwt(issued().jwt)
    bound = sdjwt.bind(shown, OTHER, audience="a", nonce="n", now_s=NOW // 1000)
    with pytest.raises(PeerError, match="the holder is"):
        credential.binding_key(bound)


@pytest.mark.parametrize(
    "member",
    [
        "type",
        "credential",
        "aspectSignature",
        "semanticId",
        "audience",
        "nonce",
        "agreementId",
        "fetchedAt",
        "didDocument",
    ],
)
def test_a_bundle_that_lacks_something_is_none(member: str) -> None:
    doc = bundle().to_json()
    del doc[member]
    with pytest.raises(PeerError) as refused:
        Bundle.parse(doc)
    assert refused.value.pointer


def test_a_did_document_without_keys_says_so() -> None:
    with pytest.raises(PeerError, match="JSON object with an id"):
        keys_in([])
    with pytest.raises(PeerError, match="has no key"):
        keys_in(did_document(MAKER, [KEY]))("did:web:maker.example#gone")
