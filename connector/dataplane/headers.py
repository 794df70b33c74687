"""Which header fields pass between consumer and backend (RFC 9110, 7.6), and which never do.

To the backend go the consumer's end-to-end fields, except those by which a backend recognises somebody: our token,
cookies, the forwarding fields that only a proxy may write, and the two that say who the consumer is. Names are compared
folded, letters and digits only: to a backend behind CGI or WSGI `Edc_Bpn` and `Edc-Bpn` are the same field.

To the consumer goes the backend's answer, except what speaks for a whole origin (the public URL is shared by all assets
and all consumers): cookies, transport security, alternative services. A backend's login challenge does not pass either:
its credentials are ours, not the consumer's.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

_NOT_LETTERS: Final = re.compile("[^a-z0-9]")
FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
FIELD_VALUE: Final = re.compile(r"[\t -~\x80-\xff]*")
EDC_BPN: Final = "Edc-Bpn"
EDC_AGREEMENT: Final = "Edc-Contract-Agreement-Id"


@lru_cache(maxsize=2048)
def fold(name: str) -> str:
    """A field name as the most careless backend may read it."""
    return _NOT_LETTERS.sub("", name.lower()) if len(name) < 256 else ""  # noqa: PLR2004 - bounds the cache


def _folded(*names: str) -> frozenset[str]:
    return frozenset(fold(name) for name in names)


HOP_BY_HOP: Final = _folded(
    *("Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization"),
    *("TE", "Trailer", "Transfer-Encoding", "Upgrade"),
)
_NEVER_IN: Final = (
    HOP_BY_HOP
    | _folded("Host", "Authorization", "Cookie", "Cookie2", "Expect", "Forwarded", "Via", "X-Real-IP", "X-Request-ID")
    | _folded("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix")
    | _folded("X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
    | _folded(EDC_BPN, EDC_AGREEMENT, "")
)
_OF_A_BODY: Final = _folded(
    *("Content-Type", "Content-Length", "Content-Encoding", "Content-Language", "Content-Location"),
    *("Content-Range", "Content-Digest", "Content-MD5", "Repr-Digest", "Digest"),
)
_NEVER_OUT: Final = HOP_BY_HOP | _folded(
    *("Set-Cookie", "Set-Cookie2", "Strict-Transport-Security", "Public-Key-Pins", "Alt-Svc", "Clear-Site-Data"),
    *("WWW-Authenticate", "Authentication-Info", "Server", "X-Powered-By", "X-Request-ID"),
    *("Location", "Content-Location", "Refresh"),
)


def to_backend(sent: Mapping[str, str], own: Mapping[str, str], *, body: bool) -> CIMultiDict[str]:
    """The fields of a backend request: ours, and of the consumer's all that may pass and that ours do not name.

    body: whether the consumer's body goes along; if not, the fields that describe it stay behind.
    """
    fields = CIMultiDict(own)
    barred = _barred(tuple(own), body=body) | _named_by_connection(sent)
    for name, value in sent.items():
        if fold(name) not in barred:
            fields.add(name, value)
    return fields


@lru_cache(maxsize=256)
def _barred(own: tuple[str, ...], *, body: bool) -> frozenset[str]:
    """What of a consumer stays behind where we send fields of our own; an asset has the same ones for all requests."""
    barred = _NEVER_IN | _folded(*own)
    return barred if body else barred | _OF_A_BODY


def to_consumer(sent: Mapping[str, str]) -> CIMultiDict[str]:
    """The fields of a backend's answer that pass; `Location` is the caller's business."""
    fields: CIMultiDict[str] = CIMultiDict()
    named = _named_by_connection(sent)
    for name, value in sent.items():
        folded = fold(name)
        if folded not in _NEVER_OUT and folded not in named:
            fields.add(name, value)
    return fields


def _named_by_connection(sent: Mapping[str, str]) -> frozenset[str]:
    """What the fields `Connection` declare to be for the next hop only."""
    if "Connection" not in sent:
        return frozenset()
    values = sent.getall("Connection") if isinstance(sent, CIMultiDict | CIMultiDictProxy) else [sent["Connection"]]
    return frozenset(fold(name.strip()) for value in values for name in value.split(","))
