"""The Authorization header of a protocol message.

DSP 2025-1 peers send `Bearer <token>`; DSP 0.8 peers and EDC's mock identity send the token alone. Both are read.
"""

from connector.identity.jws import MAX_CHARS, CompactJws
from connector.protocol.errors import PeerError
from connector.protocol.reading import MAX_TEXT


def credentials(authorization: str | None) -> str | None:
    """What the header carries without its scheme, or None if there is nothing."""
    text = (authorization or "").strip()
    scheme, _, rest = text.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else text) or None


def claimed_sender(authorization: str | None, *, max_chars: int = MAX_CHARS) -> str | None:
    """Who a refused token says that it is from, for the log; None if it does not say it in a form that can be read."""
    try:
        issuer = CompactJws.parse(credentials(authorization) or "", max_chars=max_chars).payload.get("iss")
    except PeerError:
        return None
    return issuer[:MAX_TEXT] if isinstance(issuer, str) else None
