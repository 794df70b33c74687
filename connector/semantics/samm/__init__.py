"""Aspect models (SAMM, and its predecessor BAMM) in Turtle: read, resolved across namespaces, told as JSON Schema.

    turtle       one file -> statements; rdflib reads the grammar and nothing else
    library      files and folders -> what is said about an element, fetched when it is first asked for
    reading      statements -> model
    model        Aspect, Entity, Property, Characteristics and Constraints, as frozen dataclasses
    datatypes    what the XML Schema types mean in JSON
    json_schema  model -> JSON Schema
    modes        as the official generator has it, or as SAMM means it
    schemas      all of that in one call, remembered by the digest of the files

Sources: the SAMM specification 2.0 to 2.3 and BAMM 1.0 and 2.0, and what the schemas published with models show.
"""
