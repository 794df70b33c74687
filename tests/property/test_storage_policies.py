"""Any policy survives being stored, down to the types of its values."""

from hypothesis import given

from connector.policy.model import Policy
from connector.storage.codec import policy_from, policy_text
from tests.property.policy_documents import any_policies


@given(any_policies)
def test_a_policy_comes_back_as_it_was(policy: Policy) -> None:
    assert repr(policy_from(policy_text(policy))) == repr(policy)
