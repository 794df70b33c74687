"""The official schemas of 2025-1 by the type of a document, for tests that look at whole answers."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft201909Validator
from referencing import Registry, Resource

DATA = Path(__file__).parents[3] / "shared" / "data"
DSP, TRANSCRIPT = DATA / "dsp", DATA / "edc-0.14.1-transcript"
_BASE = "https://w3id.org/dspace/2025/1/"
_UNTYPED = {"protocolVersions": "common/protocol-version"}


def faults(doc: dict[str, Any]) -> list[str]:
    """What the official schema of the document's type says against it; nothing where the schemas are not at hand.

    An offer or agreement without any rule is let pass: the schema wants one, EDC makes and expects them.
    """
    if not DSP.is_dir():
        return []
    kind = doc.get("@type") or next(_UNTYPED[key] for key in doc)
    return [f"{kind} {error.json_path}: {error.message}" for error in _validator(kind).iter_errors(_ruled(doc))]


def _ruled(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The JSON with a rule in every policy that has none."""
    if isinstance(value, list):
        return [_ruled(item) for item in value]
    if not isinstance(value, dict):
        return value
    bare = value.get("@type") in ("Offer", "Agreement") and not value.keys() & {"permission", "prohibition"}
    return {k: _ruled(v) for k, v in value.items()} | ({"permission": [{"action": "use"}]} if bare else {})


@cache
def _validator(kind: str) -> Draft201909Validator:
    """Three schemas point at `#definitions/...` without a slash: mended here."""
    found = []
    for path in DSP.glob("*/*-schema.json"):
        source = path.read_text(encoding="utf-8").replace("#definitions/", "#/definitions/")
        found.append(Resource.from_contents(json.loads(source)))
    registry: Registry[Any] = Registry().with_resources((resource.id() or "", resource) for resource in found)
    name = kind if "/" in kind else "".join(f"-{c.lower()}" if c.isupper() else c for c in kind).strip("-")
    (schema,) = (r.contents for r in found if f"/{r.id()}".endswith(f"/{name}-schema.json"))
    assert schema["$id"].startswith(_BASE)
    return Draft201909Validator(schema, registry=registry)
