"""Who sees what of a twin (Catena-X CX-0002: visibility per business partner through `externalSubjectId`).

Closed by default. A partner sees a twin if one of its specific asset ids names the partner's BPN; of the ids it sees
those that do, and in each no other reader's name. `PUBLIC_READABLE` counts for a few harmless names only, and who sees
a twin by these alone sees its id, these ids, and the submodels' descriptors. An owner sees everything.

What cannot be seen does not exist: not in lists, not in searches, not by its id. `links` says in the same terms by what
a twin can be found by whom; a store that keeps these rows can search for a reader without looking at anybody else's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from connector.twins.shell import GLOBAL_ASSET_ID, AssetLink, Shell, SpecificAssetId, kind_link

PUBLIC_READABLE: Final = "PUBLIC_READABLE"
PUBLIC_NAMES: Final = frozenset({"manufacturerPartId", "partInstanceId", "assetLifecyclePhase"})
"""Names that may be public: what stands on the product itself. A BPN or a customer's number is never made public."""
FILTERS: Final = ("assetKind", "assetType")
"""Members of a descriptor that lists can be filtered by."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a registry: its owner, or somebody with this BPN (None: it is not known)."""

    bpn: str | None = None
    owner: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """Under which names this reader finds twins. `PUBLIC_READABLE` is nobody's BPN."""
        if self.owner:
            return (OWNER_SUBJECT,)
        return (PUBLIC_READABLE,) if self.bpn in (None, "", PUBLIC_READABLE) else (PUBLIC_READABLE, str(self.bpn))


OWNER: Final = Reader(owner=True)
LISTED: Final = AssetLink("", "")
"""The link that every twin has for each subject that sees it; nobody can look for it by name."""
OWNER_SUBJECT: Final = ""
"""What stands for the owner among subjects; a subject in a descriptor is never empty."""


def seen(shell: Shell, reader: Reader) -> Shell | None:
    """What of a twin a reader may see; None if it may not even know of it."""
    if reader.owner:
        return shell
    shown = tuple(cut for asset_id in shell.specific_asset_ids if (cut := _cut(asset_id, reader)) is not None)
    if not shown:
        return None
    if _named(shell, reader):
        return replace(shell, specific_asset_ids=shown)
    return Shell(shell.id, None, shown, shell.submodels)


def _named(shell: Shell, reader: Reader) -> bool:
    """Whether a specific asset id names this very reader."""
    own = set(reader.subjects) - {PUBLIC_READABLE}
    return any(own.intersection(asset_id.subjects) for asset_id in shell.specific_asset_ids)


def _cut(asset_id: SpecificAssetId, reader: Reader) -> SpecificAssetId | None:
    """An id with the subjects that concern this reader, None if there is none."""
    subjects = tuple(s for s in asset_id.subjects if s in reader.subjects and _counts(asset_id.name, s))
    return replace(asset_id, subjects=subjects) if subjects else None


def _counts(name: str, subject: str) -> bool:
    return subject != PUBLIC_READABLE or name in PUBLIC_NAMES


def links(shell: Shell) -> Iterator[tuple[str, AssetLink]]:
    """By what a twin can be found: (subject, link), each pair once; by `LISTED` everybody who sees it.

    By the global asset id, and in filtered lists, only those find it who are named.
    """
    found = dict.fromkeys((OWNER_SUBJECT, link) for link in (LISTED, *(i.link for i in shell.specific_asset_ids)))
    for asset_id in shell.specific_asset_ids:
        for subject in asset_id.subjects:
            if _counts(asset_id.name, subject):
                found |= {(subject, asset_id.link): None, (subject, LISTED): None}
    more = [kind_link(name, str(shell.rest[name])) for name in FILTERS if name in shell.rest]
    if shell.global_asset_id:
        more.append(AssetLink(GLOBAL_ASSET_ID, shell.global_asset_id))
    for subject in {subject for subject, _ in found if subject != PUBLIC_READABLE}:
        found |= {(subject, link): None for link in more}
    yield from found
