"""The Authorization header of a protocol message.

DSP 2025-1 peers send `Bearer <token>`; DSP 0.8 peers and EDC's mock identity send the token alone. Both are read.
"""


def credentials(authorization: str | None) -> str | None:
    """What the header carries without its scheme, or None if there is nothing."""
    text = (authorization or "").strip()
    scheme, _, rest = text.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else text) or None
