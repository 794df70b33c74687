"""Trust is per issuer and type."""

from collections.abc import Mapping

import pytest

from connector.identity.refusal import Check, Refusal
from connector.identity.trusted_issuers import TrustedIssuers
from connector.protocol.errors import Invalid

A, B = "did:web:a.example", "did:web:b.example"
TRUSTED = TrustedIssuers({A: ["*"], B: ["BpnCredential", "MembershipCredential"]})


@pytest.mark.parametrize(
    ("issuer", "types", "trusted"),
    [
        (A, ["Anything"], True),
        (A, [], True),
        (B, ["BpnCredential"], True),
        (B, ["BpnCredential", "MembershipCredential"], True),
        (B, ["BpnCredential", "DismantlerCredential"], False),
        (B, [], False),
        ("did:web:c.example", ["BpnCredential"], False),
    ],
)
def test_an_issuer_is_trusted_for_all_of_a_credentials_types_or_not_at_all(
    issuer: str, types: list[str], *, trusted: bool
) -> None:
    assert TRUSTED.trusts(issuer, types) is trusted
    if trusted:
        TRUSTED.check(issuer, types)
        return
    with pytest.raises(Refusal) as caught:
        TRUSTED.check(issuer, types)
    assert (caught.value.check, caught.value.status) == (Check.CREDENTIAL_ISSUER, 403)
    assert issuer in caught.value.reason


def test_they_can_be_listed() -> None:
    assert list(TRUSTED) == [A, B]


@pytest.mark.parametrize("issuers", [{}, {"did:key:z6Mk": ["*"]}, {"a.example": ["*"]}, {A: []}])
def test_a_list_that_lets_nobody_in_is_refused(issuers: Mapping[str, list[str]]) -> None:
    with pytest.raises(Invalid) as caught:
        TrustedIssuers(issuers)
    assert caught.value.pointer.startswith("/trusted_issuers")
