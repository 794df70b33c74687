"""What every model may use without defining it: `samm-c` Characteristics and `samm-e` Entities (SAMM 2.3.0)."""

from collections.abc import Mapping
from typing import Final

from connector.semantics.samm.model import Characteristic, Entity, Plain, Property, Scalar

CHARACTERISTICS: Final[Mapping[str, Characteristic]] = {
    f"samm-c:{name}": Plain(Scalar(data_type))
    for name, data_type in (
        ("Text", "xsd:string"),
        ("Locale", "xsd:string"),
        ("Language", "xsd:string"),
        ("MimeType", "xsd:string"),
        ("Boolean", "xsd:boolean"),
        ("Timestamp", "xsd:dateTime"),
        ("ResourcePath", "xsd:anyURI"),
        ("Reference", "xsd:anyURI"),
        ("UnitReference", "samm:curie"),
        ("MultiLanguageText", "rdf:langString"),
    )
}

ABSTRACT_PROPERTIES: Final = frozenset(f"samm-e:{name}" for name in ("value", "x", "y", "z"))
"""They get a Characteristic where an Entity of the model extends them."""

PROPERTIES: Final[Mapping[str, Characteristic]] = {
    "samm-e:timestamp": CHARACTERISTICS["samm-c:Timestamp"],
    "samm-e:resource": CHARACTERISTICS["samm-c:ResourcePath"],
    "samm-e:mimeType": CHARACTERISTICS["samm-c:MimeType"],
    "samm-e:unit": CHARACTERISTICS["samm-c:UnitReference"],
}


def _entity(name: str, *members: str, abstract: bool = True) -> Entity:
    properties = (Property(member, f"samm-e:{member}", PROPERTIES[f"samm-e:{member}"]) for member in members)
    return Entity(f"samm-e:{name}", tuple(properties), abstract=abstract)


ENTITIES: Final[Mapping[str, Entity]] = {
    entity.urn: entity
    for entity in (
        _entity("TimeSeriesEntity", "timestamp"),
        _entity("Point3d"),
        _entity("FileResource", "resource", "mimeType", abstract=False),
        _entity("Quantity", "unit"),
    )
}
