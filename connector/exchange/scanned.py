"""Whether the passport that a scan led to is that of the battery which was scanned.

Every signature may hold and the passport still be another battery's: a registry that mixes two twins up, or a provider
that has one good passport for all it sells. So what the code says is held against what the passport itself says. A code
that knows only a global id of the asset says nothing that the aspect has a member for, unless the maker uses it for the
passport too; then the registry's word counts, which names the serial number beside that id.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from connector.exchange.code import PART, SERIAL
from connector.passport.names import Names
from connector.passport.verification import Check
from connector.twins.shell import GLOBAL_ASSET_ID, AssetLink

_SHOWN: Final = 100


def check_scanned(code: Sequence[AssetLink], twin: Sequence[AssetLink], payload: object, *, passport: bool) -> Check:
    """Compare a payload with the code that led to it; `twin` is what the registry says that the battery is called.

    passport: whether it has to be one. Of other aspects it is not known where they name their battery; then nothing is
    compared, and the check says so.
    """
    names = Names.of(payload)
    if not passport and names == Names():
        return Check(ok=True, detail="not compared: it is not known where this aspect names its battery")
    if (wrong := _contradicted(code, names)) is not None:
        return Check(ok=False, detail=f"the code says {wrong}")
    if (proven := _proven(code, names)) is not None:
        return Check(ok=True, detail=f"the passport names {proven}, as the code does")
    if (wrong := _contradicted(twin, names)) is not None:
        return Check(ok=False, detail=f"the registry says of what was scanned {wrong}")
    if (proven := _proven(twin, names)) is not None:
        return Check(ok=True, detail=f"by the word of the registry: the passport names {proven}, as the twin does")
    return Check(ok=False, detail=f"neither code nor twin names what the passport does: {_said(names.serial)}")


def _contradicted(links: Iterable[AssetLink], names: Names) -> str | None:
    """Where a part or serial number is another one than the passport's, or one that the passport does not say."""
    for name, said in ((PART, names.part), (SERIAL, names.serial)):
        for link in links:
            if link.name == name and link.value != said:
                return f"{name} {link.value[:_SHOWN]}; the passport {_said(said)}"
    return None


def _said(value: str | None) -> str:
    return "does not say it" if value is None else f"says {value[:_SHOWN]}"


def _proven(links: Iterable[AssetLink], names: Names) -> str | None:
    """What names this one battery in both; a part number is that of many."""
    known = {AssetLink(SERIAL, names.serial or ""), AssetLink(GLOBAL_ASSET_ID, names.passport_id or "")}
    return next((f"{link.name} {link.value[:_SHOWN]}" for link in links if link.value and link in known), None)
