"""JSON Web Signatures in compact form (RFC 7515), read strictly and only once.

A token is looked at before its signature can be checked, because it says itself whose key to use. So it is taken apart
here without a key, into what is signed and what it says, and the key is asked afterwards: nothing is decoded twice.
Strict means that one token has exactly one spelling: no padding, no left-over bits, no repeated member names.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import orjson

from connector.protocol.errors import PeerError

MAX_CHARS: Final = 1 << 16
"""Longest token looked at; a presentation with three credentials has about 3,500 characters."""


def b64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64url(text: str) -> bytes:
    """Decode base64url. Raise ValueError for any spelling but the canonical one."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def json_object(raw: bytes) -> dict[str, Any]:
    """Read one JSON object. Raise ValueError for anything else, and if a member name occurs twice in an object.

    orjson refuses what is not JSON (NaN, broken UTF-8, lone surrogates) but lets the last of two equal names win, so
    a second reading looks for those.
    """
    value = orjson.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for every kind of bad input
    try:
        json.loads(raw, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def _once(members: list[tuple[str, object]]) -> None:
    if len({name for name, _ in members}) != len(members):
        raise ValueError("a member name occurs twice")


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A token taken apart, its signature not yet checked. `payload` is a JSON object, as in every JWT."""

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signing_input: bytes
    signature: bytes

    @classmethod
    def parse(cls, text: str, *, max_chars: int = MAX_CHARS) -> Self:
        """Take a stranger's token apart. Raise PeerError 401 if it is not exactly a signed JWT.

        `crit` and `b64` are refused: RFC 7515 (4.1.11) forbids to pass over what is critical, and nothing that may be
        sent here needs them.
        """
        parts = text.split(".", 3) if len(text) <= max_chars else []
        if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
            raise PeerError(401, "the token is not a signed JWT (header.payload.signature)")
        try:
            header, payload = (json_object(unb64url(part)) for part in parts[:2])
            signature = unb64url(parts[2])
        except ValueError:
            raise PeerError(401, "the token is not a signed JWT (base64url of JSON objects, RFC 7519)") from None
        if not isinstance(header.get("alg"), str) or {"crit", "b64"} & header.keys():
            raise PeerError(401, "the token's header must name an alg, and neither crit nor b64")
        return cls(header, payload, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)
