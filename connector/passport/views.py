"""What a reader of some classes sees, held to the aspect model: the third part of the intersection, the schema.

A view lacks what its reader may not see, so the official schema of the aspect would refuse most of them. It is held to
that schema without the withheld fields (`disclosure.schema_without`): stricter than leaving the check out, and the same
for who serves it and for who gets it.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

from connector.passport.disclosure import class_map, schema_without
from connector.protocol.errors import Invalid
from connector.semantics.registry import SchemaRegistry, compiled
from connector.semantics.validation import Fault, faults_by

if TYPE_CHECKING:
    from jsonschema_rs import Validator


def view_faults(semantic_id: str, view: object, classes: frozenset[str], registry: SchemaRegistry) -> tuple[Fault, ...]:
    """List what makes a view break its aspect's schema. Raise Invalid if the aspect has no class map or no schema."""
    return faults_by(_validator(registry, semantic_id, classes), view)


@lru_cache(maxsize=128)
def _validator(registry: SchemaRegistry, semantic_id: str, classes: frozenset[str]) -> "Validator":
    known = class_map()
    if semantic_id != known.aspect:
        raise Invalid(f"there is no map of disclosure classes for {semantic_id[:200]}")
    schema = schema_without(registry.schema(semantic_id), known.withheld(classes))
    return compiled(schema, f"{semantic_id} for {', '.join(sorted(classes))}")


def read_classes(text: str) -> frozenset[str]:
    """The classes that a header field names, apart by spaces; those that the map does not know are left out."""
    return frozenset(name for name in text.split() if name in class_map().classes)
