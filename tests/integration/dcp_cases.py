"""The 85 cases of the official kit for DCP 1.0, by the kit's own names, and the mark that says which test proves one.

The kit takes any status from 400 to 500 for a refusal. The tests that are marked send what the kit sends (release
1.0.2, which follows the standard) to a started node over HTTP, and want the one right status.
`tests/unit/test_dcp_cases.py` holds that no case is left out.
"""

from typing import Final

import pytest

WALLET: Final = frozenset(
    {
        "cs_04_03_03_idtokenExpired",
        "cs_04_03_03_idtokenIncorrectAud",
        "cs_04_03_03_idtokenIncorrectSub",
        "cs_04_03_03_idTokenInvalidIssuerSub",
        "cs_04_03_03_idTokenInvalidSub",
        "cs_04_03_03_idtokenJtiUsedTwice",
        "cs_04_03_03_idtokenNbfInFuture",
        "cs_05_02_endpointDiscovery",
        "cs_05_03_01_accessTokenInvalidHeader",
        "cs_05_04_01_02_invalidScopeEscalationRequest",
        "cs_05_04_01_02_lessScopesThanAuthorizedByTypeRequest",
        "cs_05_04_01_02_scopeByTypeRequest",
        "cs_05_04_01_emptyPresentationDefinition",
        "cs_05_04_01_invalidScopeAndPresentationRequest",
        "cs_05_04_02_emptyScopeExpect4xx",
        "cs_05_04_invalidTokenNotAuthorized",
        "cs_06_05_01_credentialMessage",
        "cs_06_05_01_credentialMessage_iatInFuture",
        "cs_06_05_01_credentialMessage_incorrectAudience",
        "cs_06_05_01_credentialMessage_invalidBody",
        "cs_06_05_01_credentialMessage_invalidStatus",
        "cs_06_05_01_credentialMessage_issNotEqualToSub",
        "cs_06_05_01_credentialMessage_jtiAlreadyUsed",
        "cs_06_05_01_credentialMessage_missingBearerPrefix",
        "cs_06_05_01_credentialMessage_nbfViolated",
        "cs_06_05_01_credentialMessage_noAuthHeader",
        "cs_06_05_01_credentialMessage_tokenExpired",
        "cs_06_05_01_credentialMessage_tokenSignedWithWrongKey",
        "cs_06_06_01_credentialOfferMessage",
        "cs_06_06_01_credentialOfferMessage_iatInFuture",
        "cs_06_06_01_credentialOfferMessage_incorrectAudience",
        "cs_06_06_01_credentialOfferMessage_invalidBody",
        "cs_06_06_01_credentialOfferMessage_issNotEqualToSub",
        "cs_06_06_01_credentialOfferMessage_jtiAlreadyUsed",
        "cs_06_06_01_credentialOfferMessage_missingBearerPrefix",
        "cs_06_06_01_credentialOfferMessage_nbfViolated",
        "cs_06_06_01_credentialOfferMessage_noAuthHeader",
        "cs_06_06_01_credentialOfferMessage_onlyIds",
        "cs_06_06_01_credentialOfferMessage_tokenExpired",
        "cs_06_06_01_credentialOfferMessage_tokenSignedWithWrongKey",
    }
)
"""The node shows credentials (`presentation.cs`), and takes credentials and offers (`issuance.cs`)."""

VERIFIER: Final = frozenset(
    {
        "presentationResponse_endpointDiscovery",
        "presentationResponse_rejectMissingBearerPrefix",
        "verifier_04_03_01_presentationResponse_idTokenNoTokenClaim",
        "verifier_04_03_03_idTokenExpired",
        "verifier_04_03_03_idTokenIncorrectAud",
        "verifier_04_03_03_idTokenIncorrectSub",
        "verifier_04_03_03_idTokenInvalidIssuerSub",
        "verifier_04_03_03_idTokenInvalidSub",
        "verifier_04_03_03_idTokenJtiUsedTwice",
        "verifier_04_03_03_idTokenNbfInFuture",
        "verifier_05_01_presentationResponse_success",
        "verifier_05_04_02_01_presentationResponse_tooFewCredentials",
        "verifier_05_04_02_02_presentationResponse_tooManyCredentials",
        "verifier_05_04_02_03_presentationResponse_emptyPresentations",
        "verifier_05_04_02_04_presentationResponse_emptyCredentials",
        "verifier_05_04_03_06_presentationResponse_credentialRevoked",
        "verifier_05_04_03_06_presentationResponse_notYetValidCredential",
        "verifier_05_04_03_07_presentationResponse_expiredCredential",
        "verifier_05_04_03_presentationResponse_holderNotEqualSubjectId",
        "verifier_x_x_presentationResponse_invalidCredentialSchema",
    }
)
"""The node is shown credentials (`presentation.verifier`)."""

ISSUER: Final = frozenset(
    {
        "is_6_2_endpointDiscovery",
        "is_6_4_1_credentialRequest",
        "is_6_4_2_credentialRequest_noAuthHeader",
        "is_6_4_3_credentialRequest_noBearerPrefix",
        "is_6_4_4_credentialRequest_invalidBody",
        "is_6_4_5_credentialRequest_tokenSignedWithWrongKey",
        "is_6_4_6_credentialRequest_tokenExpired",
        "is_6_4_7_credentialRequest_iatInFuture",
        "is_6_4_8_credentialRequest_invalidAud",
        "is_6_4_8_credentialRequest_nbfViolated",
        "is_6_4_10_credentialRequest_issNotEqualSub",
        "is_6_4_11_credentialRequest_jtiAlreadyUsed",
        "is_6_4_12_credentialRequest_missingHolderPid",
        "is_6_7_issuerMetadata",
        "is_6_8_1_credentialStatusRequest",
        "is_6_8_2_credentialStatusRequest_noAuthHeader",
        "is_6_8_3_credentialStatusRequest_noBearerPrefix",
        "is_6_8_5_credentialStatusRequest_tokenSignedWithWrongKey",
        "is_6_8_6_credentialStatusRequest_tokenExpired",
        "is_6_8_7_credentialStatusRequest_iatInFuture",
        "is_6_8_8_credentialStatusRequest_invalidAud",
        "is_6_8_8_credentialStatusRequest_nbfViolated",
        "is_6_8_10_credentialStatusRequest_issNotEqualSub",
        "is_6_8_11_credentialStatusRequest_jtiAlreadyUsed",
        "is_6_8_12_credentialStatusRequest_requestIdNotFound",
    }
)
"""The authority issues credentials (`issuance.issuer`)."""

CASES: Final = WALLET | VERIFIER | ISSUER


def case(*names: str) -> pytest.MarkDecorator:
    """Mark a test, or one of its parameters, as the proof of these cases."""
    if unknown := set(names) - CASES:
        raise ValueError(f"no case of the kit: {', '.join(sorted(unknown))}")
    return pytest.mark.dcp_case(*names)


def proving(name: str, *values: object) -> pytest.ParameterSet:
    """A row of a parametrised test that proves this case."""
    return pytest.param(*values, marks=case(name), id=name)
