"""A data-space connector for battery passports (Dataspace Protocol 2025-1, EDC management API v3).

The map of the package stands in README.md and docs/; `connector.wiring` is the only package that knows all the others,
`connector.client` is the typed client for the management API.
"""

__version__ = "0.1.0"
