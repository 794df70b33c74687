"""RFC 9901: the published examples, recomputed, and every presentation that has to be refused."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from connector.identity.keys import SigningKey, VerificationKey
from connector.passport import sdjwt
from connector.passport.sdjwt import Disclosure, Jwt, SdJwt, digest_of, uncover
from connector.protocol.errors import Invalid, PeerError

ISSUER = VerificationKey.from_jwk(
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "b28d4MwZMjw8-00CG4xfnn9SLMVMM19SlqZpVb_uNtQ",
        "y": "Xv5zWwuoaTgdS6hV43yI6gBwTnjukmFQQnJ_kCxzqk8",
    }
)
"""RFC 9901, appendix A.5."""
EXAMPLE = (
    "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogImV4YW1wbGUrc2Qtand0In0.eyJfc2QiOiBbIkNyUWU3UzVrcUJBSHQtbk1ZWGdjNmJkdDJTSDVhVFkx"
    "c1VfTS1QZ2tqUEkiLCAiSnpZakg0c3ZsaUgwUjNQeUVNZmVadTZKdDY5dTVxZWhabzdGN0VQWWxTRSIsICJQb3JGYnBLdVZ1Nnh5bUphZ3ZrRnNG"
    "WEFiUm9jMkpHbEFVQTJCQTRvN2NJIiwgIlRHZjRvTGJnd2Q1SlFhSHlLVlFaVTlVZEdFMHc1cnREc3JaemZVYW9tTG8iLCAiWFFfM2tQS3QxWHlY"
    "N0tBTmtxVlI2eVoyVmE1TnJQSXZQWWJ5TXZSS0JNTSIsICJYekZyendzY002R242Q0pEYzZ2Vks4QmtNbmZHOHZPU0tmcFBJWmRBZmRFIiwgImdi"
    "T3NJNEVkcTJ4Mkt3LXc1d1BFemFrb2I5aFYxY1JEMEFUTjNvUUw5Sk0iLCAianN1OXlWdWx3UVFsaEZsTV8zSmx6TWFTRnpnbGhRRzBEcGZheVF3"
    "TFVLNCJdLCAiaXNzIjogImh0dHBzOi8vaXNzdWVyLmV4YW1wbGUuY29tIiwgImlhdCI6IDE2ODMwMDAwMDAsICJleHAiOiAxODgzMDAwMDAwLCAi"
    "c3ViIjogInVzZXJfNDIiLCAibmF0aW9uYWxpdGllcyI6IFt7Ii4uLiI6ICJwRm5kamtaX1ZDem15VGE2VWpsWm8zZGgta284YUlLUWM5RGxHemhh"
    "VllvIn0sIHsiLi4uIjogIjdDZjZKa1B1ZHJ5M2xjYndIZ2VaOGtoQXYxVTFPU2xlclAwVmtCSnJXWjAifV0sICJfc2RfYWxnIjogInNoYS0yNTYi"
    "LCAiY25mIjogeyJqd2siOiB7Imt0eSI6ICJFQyIsICJjcnYiOiAiUC0yNTYiLCAieCI6ICJUQ0FFUjE5WnZ1M09IRjRqNFc0dmZTVm9ISVAxSUxp"
    "bERsczd2Q2VHZW1jIiwgInkiOiAiWnhqaVdXYlpNUUdIVldLVlE0aGJTSWlyc1ZmdWVjQ0U2dDRqVDlGMkhaUSJ9fX0.MczwjBFGtzf-6WMT-hIv"
    "Ybkb11NrV1WMO-jTijpMPNbswNzZ87wY2uHz-CXo6R04b7jYrpj9mNRAvVssXou1iw~WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImZhbWlse"
    "V9uYW1lIiwgIkRvZSJd~WyJBSngtMDk1VlBycFR0TjRRTU9xUk9BIiwgImFkZHJlc3MiLCB7InN0cmVldF9hZGRyZXNzIjogIjEyMyBNYWluIFN0"
    "IiwgImxvY2FsaXR5IjogIkFueXRvd24iLCAicmVnaW9uIjogIkFueXN0YXRlIiwgImNvdW50cnkiOiAiVVMifV0~WyIyR0xDNDJzS1F2ZUNmR2Zy"
    "eU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd~WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIlVTIl0~eyJhbGciOiAiRVMyNTYiLCAidHl"
    "wIjogImtiK2p3dCJ9.eyJub25jZSI6ICIxMjM0NTY3ODkwIiwgImF1ZCI6ICJodHRwczovL3ZlcmlmaWVyLmV4YW1wbGUub3JnIiwgImlhdCI6ID"
    "E3NDg1MzcyNDQsICJzZF9oYXNoIjogIjBfQWYtMkItRWhMV1g1eWRoX3cyeHp3bU82aU02NkJfMlFDRWFuSTRmVVkifQ.T3SIus2OidNl41nmVkT"
    "ZVCKKhOAX97aOldMyHFiYjHm261eLiJ1YiuONFiMN8QlCmYzDlBLAdPvrXh52KaLgUQ"
)
"""RFC 9901, section 5.2: the presentation of the main example, with key binding."""
KEY = SigningKey.generate("did:web:issuer.example")


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(name: str | None, value: object, salt: bytes = b"s" * 16) -> Disclosure:
    return Disclosure.make(salt, name, value)


class TestExamplesOfTheRfc:
    @pytest.mark.parametrize(
        ("encoded", "digest", "name", "value"),
        [
            (
                "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0",
                "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0",
                "family_name",
                "Möbius",
            ),
            (
                "WyJsa2x4RjVqTVlsR1RQVW92TU5JdkNBIiwgIkZSIl0",
                "w0I8EKcdCtUPkGCNUrfwVp2xEgNjtoIDlOxc9-PlOhs",
                None,
                "FR",
            ),
        ],
    )
    def test_digests_of_disclosures(self, encoded: str, digest: str, name: str | None, value: str) -> None:
        """Sections 4.2.1, 4.2.2 and 4.2.3."""
        disclosure = Disclosure.parse(encoded)
        assert (disclosure.digest, disclosure.name, disclosure.value) == (digest, name, value)

    def test_the_main_example_with_key_binding(self) -> None:
        """Sections 5.1 and 5.2: issuer's signature, disclosed claims, holder's signature over this selection."""
        presentation = SdJwt.parse(EXAMPLE)
        assert presentation.text == EXAMPLE
        token = Jwt.parse(presentation.jwt, "the credential")
        assert token.verify(ISSUER)
        claims = uncover(token.payload, map(Disclosure.parse, presentation.disclosures))
        holder = VerificationKey.from_jwk(claims.pop("cnf")["jwk"])
        assert claims == {
            "iss": "https://issuer.example.com",
            "iat": 1683000000,
            "exp": 1883000000,
            "sub": "user_42",
            "nationalities": ["US"],
            "family_name": "Doe",
            "given_name": "John",
            "address": {
                "street_address": "123 Main St",
                "locality": "Anytown",
                "region": "Anystate",
                "country": "US",
            },
        }
        expected = {"aud": "https://verifier.example.org", "nonce": "1234567890"}
        bound = sdjwt.check_binding(presentation, holder, expected, lambda issued: issued == 1748537244)
        assert bound["sd_hash"] == "0_Af-2B-EhLWX5ydh_w2xzwmO6iM66B_2QCEanI4fUY" == digest_of(presentation.bound)

    def test_leaving_a_disclosure_out_breaks_the_key_binding_and_nothing_else(self) -> None:
        presentation = SdJwt.parse(EXAMPLE)
        fewer = SdJwt(presentation.jwt, presentation.disclosures[1:], presentation.key_binding)
        token = Jwt.parse(fewer.jwt, "the credential")
        claims = uncover(token.payload, map(Disclosure.parse, fewer.disclosures))
        assert "family_name" not in claims
        holder = VerificationKey.from_jwk(claims["cnf"]["jwk"])
        with pytest.raises(PeerError, match="another selection"):
            sdjwt.check_binding(fewer, holder, {}, lambda _: True)


class TestDisclosing:
    def test_what_is_nested_and_recursive_comes_back(self) -> None:
        inner = made("city", "Bonn")
        outer = made("address", {"_sd": [inner.digest], "country": "DE"}, b"o" * 16)
        element = made(None, {"a": 1}, b"e" * 16)
        payload = {"_sd": [outer.digest, "decoy"], "list": [{"...": element.digest}, {"...": "decoy-2"}, 3]}
        assert uncover(payload, [inner, outer, element]) == {
            "address": {"country": "DE", "city": "Bonn"},
            "list": [{"a": 1}, 3],
        }
        assert uncover(payload, []) == {"list": [3]}
        assert uncover(payload, [outer]) == {"address": {"country": "DE"}, "list": [3]}

    def test_salts_are_long_enough_and_names_are_free(self) -> None:
        with pytest.raises(Invalid, match="at least 16"):
            Disclosure.make(b"short", "a", 1)
        for name in ("_sd", "..."):
            with pytest.raises(Invalid, match="cannot be the name"):
                made(name, 1)

    @pytest.mark.parametrize(
        ("payload", "disclosures", "reason"),
        [
            ({}, [made("a", 1)], "signed nothing"),
            ({"_sd": [made("a", 1).digest]}, [made("a", 1), made("a", 1)], "twice"),
            ({"_sd": [made("a", 1).digest] * 2}, [], "stands twice"),
            ({"_sd": [made("a", 1).digest], "a": 2}, [made("a", 1)], "does not fit"),
            ({"_sd": [made(None, 1).digest]}, [made(None, 1)], "does not fit"),
            ({"l": [{"...": made("a", 1).digest}]}, [made("a", 1)], "element of an array"),
            ({"l": {"...": "x"}}, [], "reserved"),
            ({"_sd": "x"}, [], "array of digests"),
            ({"_sd": [1]}, [], "no text"),
            ({"_sd_alg": "sha-512"}, [], "only hash algorithm"),
        ],
    )
    def test_what_rfc_9901_rejects_is_refused(
        self, payload: dict[str, Any], disclosures: list[Disclosure], reason: str
    ) -> None:
        with pytest.raises(PeerError, match=reason):
            uncover(payload, disclosures)

    def test_a_chain_of_disclosures_that_is_too_deep_is_refused(self) -> None:
        chain = [made("a", 1)]
        for number in range(200):
            chain.append(made("a", {"_sd": [chain[-1].digest]}, number.to_bytes(16)))
        with pytest.raises(PeerError, match="deeper"):
            uncover({"_sd": [chain[-1].digest]}, chain)

    @pytest.mark.parametrize(
        "encoded",
        [
            "",
            "!",
            "WyJhIl0=",
            b64({"a": 1}),
            b64(["s"]),
            b64([1, "a", 2]),
            b64(["s", 1, 2]),
            b64(["s", "_sd", 2]),
            b64(b"["),
        ],
    )
    def test_what_is_no_disclosure_is_refused(self, encoded: str) -> None:
        with pytest.raises(PeerError):
            Disclosure.parse(encoded)

    @pytest.mark.parametrize("text", ["", "a.b.c", "~" * 3000, "x~" + "a" * (1 << 22)])
    def test_what_is_no_sd_jwt_is_refused(self, text: str) -> None:
        with pytest.raises(PeerError):
            SdJwt.parse(text)

    @pytest.mark.parametrize(
        "token", ["a.b", f"{b64({'crit': ['b64']})}.{b64({})}.AA", f"{b64([])}.{b64({})}.AA", f"{b64({})}.{b64({})}.="]
    )
    def test_what_is_no_jwt_is_refused(self, token: str) -> None:
        with pytest.raises(PeerError):
            Jwt.parse(token, "it")


class TestKeyBinding:
    def bound(self, **claims: str) -> SdJwt:
        plain = SdJwt(sdjwt.sign({"iss": "x"}, KEY, "t"))
        return sdjwt.bind(plain, KEY, audience="me", nonce="n", now_s=100, **claims)

    def check(self, presentation: SdJwt, expected: Mapping[str, str] | None = None, *, since: int = 0) -> None:
        key = VerificationKey.from_jwk(KEY.public_jwk())
        wanted = {"aud": "me", "nonce": "n", **(expected or {})}
        sdjwt.check_binding(presentation, key, wanted, lambda issued: issued > since)

    def test_it_holds_for_its_reader_nonce_and_agreement(self) -> None:
        self.check(self.bound(agreement_id="a"), {"agreement_id": "a"})

    @pytest.mark.parametrize("wrong", [{"aud": "you"}, {"nonce": "m"}, {"agreement_id": "b"}])
    def test_it_holds_for_nobody_else(self, wrong: dict[str, str]) -> None:
        with pytest.raises(PeerError, match="made for another"):
            self.check(self.bound(agreement_id="a"), wrong)

    def test_it_holds_for_its_time_only(self) -> None:
        with pytest.raises(PeerError, match="not of now"):
            self.check(self.bound(), since=100)

    def test_it_must_be_there_and_be_the_holders(self) -> None:
        with pytest.raises(PeerError, match="no key-binding"):
            self.check(SdJwt("x"))
        stranger = sdjwt.bind(SdJwt("x"), SigningKey.generate("did:web:b.example"), audience="me", nonce="n", now_s=1)
        with pytest.raises(PeerError, match="not signed by the holder"):
            self.check(stranger)
        other = SdJwt("x", (), sdjwt.sign({"aud": "me"}, KEY, "jwt"))
        with pytest.raises(PeerError, match="not signed by the holder"):
            self.check(other)
