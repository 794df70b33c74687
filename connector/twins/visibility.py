"""Who sees what of a twin (Catena-X CX-0002: visibility per business partner through `externalSubjectId`).

Closed by default. Three things open a twin to a reader, each by itself; what they show adds up:

    externalSubjectId  A specific asset id names the reader's BPN, or as `group:<name>` a group that it is in. It sees
                       those ids, all submodels, and what else the descriptor says.
    access policies    The twin was published under a policy that permits this reader at this moment. It sees the ids
                       that publications make, and the rest as above.
    rules              A rule for the reader's BPN is valid and applies (`rules`). It sees the ids and the submodels
                       that the rule names, and the rest as above.

`PUBLIC_READABLE` in the place of a BPN is for everybody who may ask the registry at all. It counts for a few harmless
names of ids only; who sees a twin by it alone sees its id, these ids, and the submodels (of a rule: those it names). In
no case does a reader see the name of another, or of a group: the keys of an id are cut down to its own BPN. An owner
sees everything.

What cannot be seen does not exist: not in lists, not in searches, not by its id. A search finds the twins that have all
ids that are looked for, each of them visible to the reader. `links` says in the same terms by what a twin can be found
by whom; a store that keeps these rows can search for a reader without looking at anybody else's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from connector.twins.rules import PUBLIC_NAMES, PUBLIC_READABLE, AccessRule
from connector.twins.shell import (
    GLOBAL_ASSET_ID,
    PUBLISHED_NAMES,
    AssetLink,
    RegisteredShell,
    Shell,
    SpecificAssetId,
    Submodel,
    kind_link,
)

GROUP: Final = "group:"
"""What a subject begins with that is a group of the owner's business partners; no BPN begins so."""
FILTERS: Final = ("assetKind", "assetType")
"""Members of a descriptor that lists can be filtered by."""
OWNER_SUBJECT: Final = ""
"""What stands for the owner among subjects; a subject in a descriptor is never empty."""
_POLICY: Final = "policy\n"
"""What a subject begins with that is an access policy; in a descriptor no subject has control characters."""
LISTED: Final = AssetLink("", "")
"""The link that every twin has for each subject that sees it; nobody can look for it by name."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a registry: its owner, or somebody with this BPN (None: it is not known).

    `groups` it is in, `policies` (ids) permit it, `rules` are for it or for everybody and valid: all at this moment.
    """

    bpn: str | None = None
    owner: bool = False
    groups: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()
    rules: tuple[AccessRule, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What a descriptor may call this reader. `PUBLIC_READABLE` is nobody's BPN, and no BPN is a group."""
        unknown = self.bpn in {None, "", PUBLIC_READABLE} or str(self.bpn).startswith(GROUP)
        return frozenset(GROUP + group for group in self.groups) | (frozenset() if unknown else {str(self.bpn)})

    @property
    def subjects(self) -> tuple[str, ...]:
        """Under which names this reader finds twins."""
        if self.owner:
            return (OWNER_SUBJECT,)
        return (PUBLIC_READABLE, *sorted(self.names), *(_POLICY + policy for policy in sorted(self.policies)))


OWNER: Final = Reader(owner=True)


def seen(kept: RegisteredShell, reader: Reader) -> Shell | None:
    """What of a twin a reader may see; None if it may not even know of it."""
    shell = kept.shell
    if reader.owner:
        return shell
    look = _Look(kept, reader)
    ids = tuple(cut for asset_id in shell.specific_asset_ids if (cut := look.cut(asset_id)) is not None)
    if not (ids or look.permitted or look.rules):
        return None
    submodels = tuple(submodel for submodel in shell.submodels if look.shows(submodel))
    if look.whole:
        return replace(shell, specific_asset_ids=ids, submodels=submodels)
    return Shell(shell.id, None, ids, submodels)


def finds(kept: RegisteredShell, reader: Reader, wanted: Iterable[AssetLink]) -> bool:
    """Whether a reader finds a twin by links: it sees the twin, and each of them."""
    shown = seen(kept, reader)
    return shown is not None and {LISTED, *shown.links, *_kinds(shown)}.issuperset(wanted)


class _Look:
    """One reader's look at one twin: what has opened it."""

    __slots__ = ("_all_submodels", "_models", "_reader", "permitted", "rules", "whole")

    def __init__(self, kept: RegisteredShell, reader: Reader) -> None:
        asset_ids = kept.shell.specific_asset_ids
        self._reader = reader
        self.permitted = not reader.policies.isdisjoint(kept.policies)
        self.rules = tuple(rule for rule in reader.rules if rule.applies(kept.shell))
        named = self.permitted or any(not reader.names.isdisjoint(asset_id.subjects) for asset_id in asset_ids)
        self.whole = named or any(not rule.public for rule in self.rules)
        self._all_submodels = named or any(_public(asset_id) for asset_id in asset_ids)
        self._models = frozenset(model for rule in self.rules for model in rule.semantic_ids)

    def cut(self, asset_id: SpecificAssetId) -> SpecificAssetId | None:
        """An id with the subjects that concern this reader, None if it is not for it."""
        own = (
            not self._reader.names.isdisjoint(asset_id.subjects)
            or (self.permitted and asset_id.name in PUBLISHED_NAMES)
            or any(rule.opens(asset_id.link) for rule in self.rules if not rule.public)
        )
        public = _public(asset_id) or any(rule.opens(asset_id.link) for rule in self.rules if rule.public)
        if not (own or public):
            return None
        bpn = (str(self._reader.bpn),) if own and self._reader.bpn in self._reader.names else ()
        return replace(asset_id, subjects=(*bpn, *((PUBLIC_READABLE,) if public else ())))

    def shows(self, submodel: Submodel) -> bool:
        """Whether a submodel is for this reader."""
        return self._all_submodels or not self._models.isdisjoint(submodel.semantic_ids)


def _public(asset_id: SpecificAssetId) -> bool:
    return PUBLIC_READABLE in asset_id.subjects and asset_id.name in PUBLIC_NAMES


def links(kept: RegisteredShell) -> Iterator[tuple[str, AssetLink]]:
    """By what a twin can be found: (subject, link), each pair once; by `LISTED` everybody who sees it.

    By the global asset id, and in filtered lists, only those find it who see it whole. Rules are no part of this: the
    rows of the owner say to which twins a rule applies. The owner finds it by the addresses of its submodels as well.
    """
    shell = kept.shell
    found = dict.fromkeys((OWNER_SUBJECT, link) for link in (LISTED, *shell.links))
    found |= {(OWNER_SUBJECT, address_link(e.href)): None for s in shell.submodels for e in s.endpoints}
    for policy in kept.policies:
        published = (i.link for i in shell.specific_asset_ids if i.name in PUBLISHED_NAMES)
        found |= {(_POLICY + policy, link): None for link in (LISTED, *published)}
    for asset_id in shell.specific_asset_ids:
        for subject in asset_id.subjects:
            if subject != PUBLIC_READABLE or _public(asset_id):
                found |= {(subject, asset_id.link): None, (subject, LISTED): None}
    more = _kinds(shell)
    if shell.global_asset_id:
        more.append(AssetLink(GLOBAL_ASSET_ID, shell.global_asset_id))
    for subject in {subject for subject, _ in found if subject != PUBLIC_READABLE}:
        found |= {(subject, link): None for link in more}
    yield from found


def _kinds(shell: Shell) -> list[AssetLink]:
    return [kind_link(name, str(shell.rest[name])) for name in FILTERS if name in shell.rest]


def address_link(href: str) -> AssetLink:
    """The link by which the owner finds the twins that have a submodel at this address."""
    return kind_link("href", href)
