"""What payloads mean: JSON Schemas by semantic id, JSON-LD contexts, and the RDF view of catalogs."""
