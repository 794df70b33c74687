"""Access rules: what of which twins a partner sees, said once for many (after Catena-X's reference registry).

A rule names a partner, the ids that a twin must have for the rule to apply, and what is seen of it then. It adds to
what `externalSubjectId` says in the descriptors and takes nothing away: see `visibility`. A rule that is not understood
in every part is refused, because half of a rule would show too much or too little without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from connector.protocol.errors import PeerError
from connector.protocol.reading import at, checked, obj, objects, optional_text, text
from connector.twins.shell import GLOBAL_ASSET_ID, MAX_SUBJECT, AssetLink, Shell

PUBLIC_READABLE: Final = "PUBLIC_READABLE"
"""Stands for everybody who may ask the registry, where a BPN is expected."""
PUBLIC_NAMES: Final = frozenset({"manufacturerPartId", "assetLifecyclePhase"})
"""Names of ids that may be shown to everybody (CX-0002): what says of no single item, and of no partner, anything."""
MAX_MANDATORY: Final = 32
MAX_VISIBLE: Final = 64
MAX_DESCRIPTION: Final = 256
_BPN: Final = "bpn"
_MANDATORY: Final = "mandatorySpecificAssetIds"
_NAMES: Final = "visibleSpecificAssetIdNames"
_MODELS: Final = "visibleSemanticIds"
_ATTRIBUTES: Final = (_BPN, _MANDATORY, _NAMES, _MODELS)


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What `bpn` sees of every twin that has all `mandatory` ids. Times in ms; both ends of the validity count.

    names: names of specific asset ids that are seen; of a name that is mandatory too, only the mandatory value.
    semantic_ids: aspect models whose submodels are seen. Raises PeerError 400 for a rule that shows nothing, or to
    everybody what may not be public.
    """

    id: str
    created_at: int
    bpn: str
    mandatory: tuple[AssetLink, ...]
    names: frozenset[str] = frozenset()
    semantic_ids: frozenset[str] = frozenset()
    description: str | None = None
    valid_from: int | None = None
    valid_to: int | None = None

    def __post_init__(self) -> None:
        if not self.mandatory:
            raise PeerError(400, f"a rule needs {_MANDATORY}: it applies to the twins that have all of them", _RULES)
        if not self.names and not self.semantic_ids:
            raise PeerError(400, f"a rule without {_NAMES} and {_MODELS} shows nothing", _RULES)
        if len(self.mandatory) > MAX_MANDATORY or max(len(self.names), len(self.semantic_ids)) > MAX_VISIBLE:
            raise PeerError(400, f"a rule has at most {MAX_MANDATORY} mandatory ids and {MAX_VISIBLE} names", _RULES)
        if self.bpn == PUBLIC_READABLE and not self.names <= PUBLIC_NAMES:
            raise PeerError(400, f"{PUBLIC_READABLE} may see no names but {', '.join(sorted(PUBLIC_NAMES))}", _RULES)
        if self.valid_from is not None and self.valid_to is not None and self.valid_from > self.valid_to:
            raise PeerError(400, "validTo is before validFrom", "/validTo")

    def valid(self, now: int) -> bool:
        """Whether the rule counts at this moment."""
        return (self.valid_from is None or self.valid_from <= now) and (self.valid_to is None or now <= self.valid_to)

    @property
    def public(self) -> bool:
        """Whether it is for everybody, who then sees no more of a twin than its id and what the rule names."""
        return self.bpn == PUBLIC_READABLE

    def applies(self, shell: Shell) -> bool:
        """Whether a twin has all mandatory ids."""
        return frozenset(self.mandatory) <= frozenset(shell.links)

    def opens(self, link: AssetLink) -> bool:
        """Whether a twin that the rule applies to is found by this link.

        Links without a name are those of lists, the filtered ones included (`shell.kind_link`).
        """
        if link.name in {"", GLOBAL_ASSET_ID}:
            return link == AssetLink("", "") or not self.public
        needed = {mandatory.value for mandatory in self.mandatory if mandatory.name == link.name}
        return link.name in self.names and (not needed or link.value in needed)

    @classmethod
    def parse(cls, doc: object, ident: str, created_at: int) -> Self:
        """Read a rule as clients write it. Raise PeerError 400 with the place of the first fault."""
        body = obj(doc)
        if body.get("policyType") != "AAS":
            raise PeerError(400, "the policy type is AAS, there is no other", "/policyType")
        said = _said(obj(body.get("policy"), "/policy"))
        description = optional_text(body, "description")
        if description is not None and len(description) > MAX_DESCRIPTION:
            raise PeerError(400, f"longer than {MAX_DESCRIPTION} characters", "/description")
        return cls(
            ident,
            created_at,
            checked(*said[_BPN], limit=MAX_SUBJECT) if _BPN in said else _missing(_BPN),
            tuple(dict.fromkeys(AssetLink(name, value) for name, value in _pairs(said, _MANDATORY))),
            frozenset(value for _, value in _pairs(said, _NAMES)),
            frozenset(value for _, value in _pairs(said, _MODELS)),
            description,
            _moment(body, "validFrom"),
            _moment(body, "validTo"),
        )

    def to_json(self, owner: str) -> dict[str, Any]:
        """The rule as clients read it; `owner` is whose registry this is."""
        named = [{"attribute": "name", "operator": "eq", "value": name} for name in sorted(self.names)]
        models = [{"attribute": "modelUrn", "operator": "eq", "value": name} for name in sorted(self.semantic_ids)]
        needed = [{"attribute": link.name, "operator": "eq", "value": link.value} for link in self.mandatory]
        lists = {_MANDATORY: needed, _NAMES: named, _MODELS: models}
        rules: list[dict[str, Any]] = [{"attribute": _BPN, "operator": "eq", "value": self.bpn}]
        rules += [{"attribute": a, "operator": "includes", "values": values} for a, values in lists.items() if values]
        more = {
            "description": self.description,
            "validFrom": _written(self.valid_from),
            "validTo": _written(self.valid_to),
        }
        kept = {name: value for name, value in more.items() if value is not None}
        return {"id": int(self.id), "tid": owner, "policyType": "AAS", "policy": {"accessRules": rules}, **kept}


_RULES: Final = "/policy/accessRules"


def _missing(attribute: str) -> str:
    raise PeerError(400, f"there is no rule for the attribute {attribute}", _RULES)


def _said(policy: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """What is said of each attribute, with its place."""
    said: dict[str, tuple[Any, str]] = {}
    for row, place in objects(policy, "accessRules", "/policy"):
        attribute = text(row, "attribute", place)
        if attribute not in _ATTRIBUTES or attribute in said:
            known = ", ".join(_ATTRIBUTES)
            raise PeerError(400, f"the attributes of a rule are {known}, each once", at(place, "attribute"))
        operator, member = ("eq", "value") if attribute == _BPN else ("includes", "values")
        if row.get("operator") != operator:
            raise PeerError(400, f"the operator of {attribute} is {operator}", at(place, "operator"))
        said[attribute] = row.get(member), at(place, member)
    return said


def _pairs(said: Mapping[str, tuple[Any, str]], attribute: str) -> list[tuple[str, str]]:
    """The values of a list: each an attribute that equals something."""
    if attribute not in said:
        return []
    found = []
    for row, place in objects({"values": said[attribute][0]}, "values", said[attribute][1].removesuffix("/values")):
        if row.get("operator") != "eq":
            raise PeerError(400, "the operator of a value is eq", at(place, "operator"))
        found.append((text(row, "attribute", place), text(row, "value", place)))
    return found


def _moment(body: dict[str, Any], member: str) -> int | None:
    said = optional_text(body, member)
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PeerError(400, "expected a moment with its zone, like 2026-11-22T08:00:00Z", f"/{member}")
    return round(moment.timestamp() * 1000)


def _written(moment: int | None) -> str | None:
    if moment is None:
        return None
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
