"""Offering in one go: policies and contract definition, from the templates that come with the connector.

Everything here is create-or-replace under ids that follow from the offer's, so a call can be repeated.
"""

from collections.abc import Iterable
from typing import Any, Final

from connector.client.publishing import Definitions, Policies
from connector.policy.templates import template_policy
from connector.protocol.errors import Invalid

_PARTNERS: Final = "BusinessPartnerNumber"


def template(name: str, partners: Iterable[str] = ()) -> dict[str, Any]:
    """A policy that comes with the connector, by its name (`connector policy templates`).

    partners: the BPNs that take the place of the template's. Raise NotFound for a template that does not exist, and
    Invalid if it is about partners and none are given, or the other way round.
    """
    policy = template_policy(name)
    bpns = list(partners)
    if bool(_named(policy, bpns)) is not bool(bpns):
        raise Invalid(f"the template {name} names {'no partners' if bpns else 'partners: give at least one BPN'}")
    return policy


def names_partners(name: str) -> bool:
    """Whether a template has partners in it. Raise NotFound for a template that does not exist."""
    return bool(_named(template_policy(name), []))


def _named(value: object, bpns: list[str]) -> int:
    """Put the BPNs where a template has partners; tell in how many places that is."""
    if isinstance(value, list):
        return sum(_named(item, bpns) for item in value)
    if not isinstance(value, dict):
        return 0
    if str(value.get("leftOperand", "")).endswith(_PARTNERS):
        value["rightOperand"] = bpns
        return 1
    return sum(_named(item, bpns) for item in value.values())


async def offer(
    policies: Policies,
    definitions: Definitions,
    offer_id: str,
    assets: Iterable[str],
    *,
    access: str | dict[str, Any],
    contract: str | dict[str, Any],
) -> None:
    """Offer `assets` to whom `access` lets see them, on the terms of `contract`.

    Both are the id of a policy definition that exists, or a policy, which is kept as `<offer_id>-access` and
    `<offer_id>-contract`. The contract definition's id is `offer_id`.
    """
    named = {"access": access, "contract": contract}
    for part, policy in named.items():
        if isinstance(policy, dict):
            await policies.put(f"{offer_id}-{part}", policy)
            named[part] = f"{offer_id}-{part}"
    await definitions.put(
        offer_id, access_policy=str(named["access"]), contract_policy=str(named["contract"]), assets=assets
    )
