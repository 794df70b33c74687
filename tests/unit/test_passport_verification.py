"""The verdict on a received passport: four checks, and the report names the ones that failed."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from connector.demo_data import FOOTPRINT_SEMANTIC_ID, PASSPORT_SEMANTIC_ID, passports, tampered
from connector.identity.keys import SigningKey, VerificationKey
from connector.passport.canonical import canonical
from connector.passport.model_check import check_model
from connector.passport.signature import digest
from connector.passport.verification import (
    CONTENT_DIGEST,
    PAYLOAD_SEMANTIC_ID,
    PAYLOAD_SIGNATURE,
    Check,
    Verification,
    seal,
    verify_payload,
)
from connector.protocol.errors import Invalid, NotFound
from connector.semantics.registry import bundled

MAKER = "did:web:maker.example"
KEY = SigningKey(MAKER, ec.derive_private_key(0x5EED, ec.SECP256R1()))
STRANGER = SigningKey("did:web:stranger.example", ec.derive_private_key(0xBAD, ec.SECP256R1()))
BODY = json.dumps(passports()[0], indent=1).encode()
HEADERS = seal(BODY, PASSPORT_SEMANTIC_ID, KEY)


def resolve(kid: str) -> VerificationKey:
    for key in (KEY, STRANGER):
        if key.kid == kid:
            return VerificationKey.from_jwk(key.public_jwk())
    raise NotFound(f"no key {kid}")


def judged(body: bytes, headers: dict[str, str], semantic_id: str = PASSPORT_SEMANTIC_ID) -> Verification:
    model = check_model(body, semantic_id, bundled(), declared=headers.get(PAYLOAD_SEMANTIC_ID))
    return verify_payload(body, headers, expected_signer=MAKER, model=model, resolve=resolve)


def without(name: str) -> dict[str, str]:
    return {field: value for field, value in HEADERS.items() if field != name}


def test_sealed_passport_passes_all_four_checks() -> None:
    verdict = judged(BODY, HEADERS)
    assert verdict.ok
    assert verdict.failed == ()
    assert verdict.schema == Check(ok=True, detail=f"fits {PASSPORT_SEMANTIC_ID}")
    assert verdict.signature.detail == f"signed with {KEY.kid}"


def test_header_names_are_read_in_any_case() -> None:
    assert judged(BODY, {name.upper(): value for name, value in HEADERS.items()}).ok


def test_tampered_footprint_fails_digest_signature_and_schema() -> None:
    passport, place = tampered()
    verdict = judged(canonical(passport), HEADERS)
    assert verdict.failed == ("digest", "signature", "schema")
    assert verdict.schema.detail == f"{place}: '0.0348 kg CO2 / kWh' is not a number"
    assert "changed on the way" in verdict.digest.detail
    assert KEY.kid in verdict.signature.detail


def test_maker_that_signs_a_spoilt_passport_fails_the_schema_only() -> None:
    body = canonical(tampered()[0])
    assert judged(body, seal(body, PASSPORT_SEMANTIC_ID, KEY)).failed == ("schema",)


def test_proxy_that_reformats_the_json_fails_the_digest_only() -> None:
    assert judged(canonical(json.loads(BODY)), HEADERS).failed == ("digest",)


def test_changed_value_with_a_new_digest_fails_the_signature_only() -> None:
    passport = passports()[0]
    passport["sustainability"]["carbonFootprint"][0]["value"] = 0.0001
    body = canonical(passport)
    assert judged(body, {**HEADERS, CONTENT_DIGEST: digest(body)}).failed == ("signature",)


def test_good_signature_of_somebody_else_fails_the_signer_only() -> None:
    verdict = judged(BODY, seal(BODY, PASSPORT_SEMANTIC_ID, STRANGER))
    assert verdict.failed == ("signer",)
    assert verdict.signer.detail == f"the signature names {STRANGER.did}; expected {MAKER}"


def test_key_that_cannot_be_resolved_fails_the_signature() -> None:
    lost = SigningKey(MAKER, ec.derive_private_key(0x105, ec.SECP256R1()))
    verdict = judged(BODY, seal(BODY, PASSPORT_SEMANTIC_ID, lost))
    assert verdict.failed == ("signature",)
    assert verdict.signature.detail == f"no key {lost.kid}"


def test_party_whose_did_begins_like_the_expected_one_is_not_it() -> None:
    imitator = SigningKey(f"{MAKER}.evil", ec.derive_private_key(0x5EED, ec.SECP256R1()))
    assert "signer" in judged(BODY, seal(BODY, PASSPORT_SEMANTIC_ID, imitator)).failed


@pytest.mark.parametrize(
    ("name", "failed"),
    [(CONTENT_DIGEST, ("digest",)), (PAYLOAD_SIGNATURE, ("signature", "signer")), (PAYLOAD_SEMANTIC_ID, ())],
)
def test_missing_proof_counts_as_failed(name: str, failed: tuple[str, ...]) -> None:
    assert judged(BODY, without(name)).failed == failed


def test_malformed_signature_fails_signature_and_signer() -> None:
    assert judged(BODY, {**HEADERS, PAYLOAD_SIGNATURE: "no jws"}).failed == ("signature", "signer")


def test_passport_declared_as_something_else_than_agreed_fails_the_schema() -> None:
    verdict = judged(BODY, {**HEADERS, PAYLOAD_SEMANTIC_ID: FOOTPRINT_SEMANTIC_ID})
    assert verdict.failed == ("schema",)
    assert FOOTPRINT_SEMANTIC_ID in verdict.schema.detail


def test_passport_sent_where_a_footprint_was_agreed_fails_the_schema() -> None:
    verdict = judged(BODY, without(PAYLOAD_SEMANTIC_ID), FOOTPRINT_SEMANTIC_ID)
    assert verdict.failed == ("schema",)
    assert verdict.schema.detail.endswith("faults)")


def test_semantic_id_without_a_schema_fails_the_schema() -> None:
    verdict = judged(BODY, without(PAYLOAD_SEMANTIC_ID), "urn:samm:example:1.0.0#None")
    assert verdict.failed == ("schema",)
    assert PASSPORT_SEMANTIC_ID in verdict.schema.detail


@pytest.mark.parametrize("body", [b"", b"<html>", BODY[:-1], b"\xff", b'{"a": 1, "a": 2}', b"[" * 10_000])
def test_body_that_is_not_json_fails_signature_and_schema_and_says_why(body: bytes) -> None:
    verdict = judged(body, {**HEADERS, CONTENT_DIGEST: digest(body)})
    assert verdict.failed == ("signature", "schema")
    assert verdict.schema.detail


def test_report_does_not_repeat_a_long_text_of_the_payload() -> None:
    passport = passports()[0]
    passport["identification"]["category"] = "secret " * 50
    body = canonical(passport)
    verdict = judged(body, seal(body, PASSPORT_SEMANTIC_ID, KEY))
    assert verdict.failed == ("schema",)
    assert verdict.schema.detail.count("secret") < 7


def test_nothing_without_canonical_form_is_sealed() -> None:
    with pytest.raises(Invalid):
        seal(b'{"a": 1e999}', PASSPORT_SEMANTIC_ID, KEY)
