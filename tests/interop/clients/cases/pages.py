"""The code of docs/how-to/use-python-clients.md, run as a reader runs it."""

import os
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from tests.interop.clients.cases.world import Backend, Nodes

PAGE: Final = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "use-python-clients.md"


def read_aloud(client: str, nodes: Nodes, backend: Backend) -> dict[str, Any]:
    """Run all blocks of a client, in the environment that the page describes; return the names they leave behind."""
    code = re.findall(rf"^```python {client}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not code:
        raise AssertionError(f"{PAGE.name} has no block for {client}")
    os.environ["SOURCE"] = f"{backend.url}/data"
    for variable, node in (("CELL_MAKER", nodes.provider), ("OEM", nodes.consumer)):
        values = {"": node.management, "_KEY": node.api_key, "_DSP": node.dsp, "_DID": node.did, "_BPN": node.bpn}
        os.environ |= {variable + suffix: value for suffix, value in values.items()}
    names: dict[str, Any] = {}
    with redirect_stdout(StringIO()):
        exec(compile("\n".join(code), str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return names
