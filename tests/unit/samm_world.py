"""Small aspect models for tests, as files in the folders in which models lie."""

from pathlib import Path
from typing import Any

from connector.semantics.registry import compiled
from connector.semantics.samm.json_schema import DIALECT
from connector.semantics.samm.modes import OFFICIAL, Rules
from connector.semantics.samm.schemas import aspect_schema
from connector.semantics.validation import valid_by

A = "urn:samm:org.example:1.0.0#A"
SAMM = """
@prefix samm: <urn:samm:org.eclipse.esmf.samm:meta-model:2.1.0#> .
@prefix samm-c: <urn:samm:org.eclipse.esmf.samm:characteristic:2.1.0#> .
@prefix samm-e: <urn:samm:org.eclipse.esmf.samm:entity:2.1.0#> .
@prefix unit: <urn:samm:org.eclipse.esmf.samm:unit:2.1.0#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix : <urn:samm:org.example:1.0.0#> .
@prefix other: <urn:samm:org.example.other:2.0.0#> .
"""


def model(root: Path, body: str, *, namespace: str = "org.example", version: str = "1.0.0", name: str = "A") -> Path:
    """Write a Turtle file where its namespace belongs; gives the folder."""
    folder = root / namespace / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.ttl").write_text(SAMM + body, encoding="utf-8")
    return folder


def schema_of(root: Path, body: str, rules: Rules = OFFICIAL) -> dict[str, Any]:
    """The schema of the Aspect `:A` that a text defines."""
    return aspect_schema(model(root, body), A, rules=rules)


def member(root: Path, characteristic: str, rest: str = "", rules: Rules = OFFICIAL) -> dict[str, Any]:
    """The schema of the only member `:p` of an Aspect, by its Characteristic; `rest` defines what that needs."""
    body = f":A a samm:Aspect ; samm:properties ( :p ) .\n:p a samm:Property ; samm:characteristic {characteristic} .\n"
    schema: dict[str, Any] = schema_of(root, body + rest, rules)["properties"]["p"]
    return schema


def accepts(schema: dict[str, Any], payload: object, *, formats: bool = False) -> bool:
    return valid_by(compiled({"$schema": DIALECT, **schema}, "a test", formats=formats), payload)
