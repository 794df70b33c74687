"""The words of Dataspace Protocol 2025-1 as they stand on the wire, and the namespaces its peers use.

Here once, because a name that is off by one letter is not refused but silently dropped by a JSON-LD peer. The names of
states stand with the state machines (`negotiation.State`, `transfer.State`), those of messages are the message classes.
"""

from typing import Final

VERSION: Final = "2025-1"
"""Version of the Dataspace Protocol, as in the version metadata."""
PROTOCOL: Final = "dataspace-protocol-http:2025-1"
"""EDC's name for this version over HTTPS (`protocol` in the management API)."""
CONTEXT: Final = ["https://w3id.org/dspace/2025/1/context.jsonld"]
"""The `@context` of everything we send: an array of strings, as the schemas demand. Copy it into messages."""

EDC_CONTEXT: Final = "https://w3id.org/edc/dspace/v0.0.1"
"""EDC's context: needed beside ours where its own terms are used (the catalog filter)."""

DSPACE: Final = "https://w3id.org/dspace/2025/1/"
EDC: Final = "https://w3id.org/edc/v0.0.1/ns/"
ODRL: Final = "http://www.w3.org/ns/odrl/2/"
DCAT: Final = "http://www.w3.org/ns/dcat#"
DCT: Final = "http://purl.org/dc/terms/"
TX: Final = "https://w3id.org/tractusx/v0.0.1/ns/"
TX_AUTH: Final = "https://w3id.org/tractusx/auth/"

TERM_PREFIXES: Final = (
    *(DSPACE, "https://w3id.org/dspace/2024/1/", "https://w3id.org/dspace/v0.8/", "dspace:"),
    *(ODRL, "odrl:", DCAT, "dcat:", DCT, "dct:"),
)
"""What may stand before a protocol term in a message that was not compacted with the protocol's own context."""

HTTP_PULL: Final = "HttpData-PULL"
"""Transfer format: the consumer fetches with the address and token of the start message."""
HTTP_PUSH: Final = "HttpData-PUSH"
"""Transfer format: the provider sends to the data address of the request message."""
HTTP_ENDPOINT: Final = "https://w3id.org/idsa/v4.1/HTTP"
"""`endpointType` of a data address that is plain HTTP."""
