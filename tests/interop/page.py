"""The code of docs/how-to/connect-to-an-edc.md, as it stands there; only EDC's address is this run's."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.interop.backend import content_of
from tests.interop.directions import WeConsume, WeProvide
from tests.interop.matrix import Case, must
from tests.interop.scene import named

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "connect-to-an-edc.md"
ADDRESS: Final = "http://edc.example:19194/protocol/2025-1"


def cases(consuming: WeConsume, providing: WeProvide) -> Iterator[Case]:
    """Getting data from EDC, and giving data to it."""
    yield Case(consuming.group, f"the code of {PAGE.name}", partial(getting, consuming))
    yield Case(providing.group, f"the code of {PAGE.name}", partial(giving, providing))


def code(address: str) -> dict[str, Any]:
    """What the page's Python defines."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec("\n".join(blocks).replace(ADDRESS, address), names)  # noqa: S102 - our own page
    return names


async def getting(way: WeConsume) -> None:
    """The bytes are those of EDC's source."""
    asset, api = await way.offer(), way.on.ours.client.api
    fetched = await code(way.on.edc.dsp)["get"](api.url, way.on.ours.key, asset)
    must("whether the bytes fetched are the bytes served", fetched == content_of(asset), True)


async def giving(way: WeProvide) -> None:
    """EDC gets the bytes of our source."""
    asset, ours = named("ours"), way.on.ours
    await code(way.on.edc.dsp)["give"](ours.client.api.url, ours.key, asset, way.on.backend.source(asset))
    process = await way.pull(asset, await way.on.edc.agree(way.provider, asset))
    await way.on.reads(await way.on.edc.address(process.edc), asset)
