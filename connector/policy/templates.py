"""Policies to begin with: `policies/offer-<name>.json`; what each means stands in `policies/offer-templates.json`."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from connector.policy.vocabulary import data_file
from connector.protocol.errors import NotFound

_INDEX: Final = "offer-templates.json"


@dataclass(frozen=True, slots=True)
class Template:
    """A policy that comes with the connector. use: "access", "usage", or "both" for one that can be either."""

    name: str
    use: str
    meaning: str


@cache
def templates() -> tuple[Template, ...]:
    """All of them, in the order in which people should see them."""
    return tuple(Template(**row) for row in json.loads(data_file(_INDEX).read_bytes()))


def template_policy(name: str) -> dict[str, Any]:
    """The policy of a template, as JSON; a fresh copy. Raise NotFound if there is no such template."""
    known = [template.name for template in templates()]
    if name not in known:
        raise NotFound(f"there is no policy template {name}; there are {', '.join(known)}")
    policy: dict[str, Any] = json.loads(data_file(f"offer-{name}.json").read_bytes())
    return policy
