"""Scopes in all the forms that peers send."""

import pytest

from connector.identity.scopes import CATENA_X_TYPE, EDC_TYPE, ID, TYPE, Scope, read_scopes
from connector.protocol.errors import Invalid, PeerError


@pytest.mark.parametrize("alias", [TYPE, CATENA_X_TYPE, EDC_TYPE])
@pytest.mark.parametrize("operation", ["", ":read", ":*", ":all"])
def test_a_scope_by_type_covers_credentials_of_this_type(alias: str, operation: str) -> None:
    scope = Scope.parse(f"{alias}:MembershipCredential{operation}")
    assert str(scope) == f"{alias}:MembershipCredential{operation}"
    assert (scope.credential_type, scope.readable) == ("MembershipCredential", True)
    assert scope.covers(("Other", "MembershipCredential"), None)
    assert not scope.covers(("BpnCredential",), "MembershipCredential")


@pytest.mark.parametrize("identifier", ["one", "urn:uuid:8247b87d", "urn:read"])
def test_a_scope_by_id_covers_the_credential_with_this_id(identifier: str) -> None:
    scope = Scope.parse(f"{ID}:{identifier}:read")
    assert (scope.discriminator, scope.credential_type) == (identifier, None)
    assert scope.covers((), identifier)
    assert not scope.covers((identifier,), "two")


@pytest.mark.parametrize("text", [f"{TYPE}:MembershipCredential:write", "com.example:MembershipCredential:read"])
def test_what_is_not_ours_to_read_covers_nothing(text: str) -> None:
    scope = Scope.parse(text)
    assert not scope.readable
    assert not scope.covers(("MembershipCredential",), "MembershipCredential")


@pytest.mark.parametrize(
    "text", ["", "alias", "alias:", ":x", f"{TYPE}:a b", f"{TYPE}:a\n", f"{TYPE}:\u00e4", "a:" + "x" * 600]
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        Scope.parse(text, "/scope/0")
    assert (caught.value.status, caught.value.pointer) == (400, "/scope/0")


def test_our_own_scopes_must_ask_for_something() -> None:
    assert len(read_scopes([f"{TYPE}:A", f"{ID}:b:read"])) == 2
    for text in ("nothing", "com.example:A:read", f"{TYPE}:A:write"):
        with pytest.raises(Invalid) as caught:
            read_scopes([text])
        assert (caught.value.pointer, caught.value.value) == ("/identity/scopes", text)
