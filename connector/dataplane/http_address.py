"""The data address of an asset behind HTTP (EDC's HttpData) and where a consumer's request goes by it.

Keys and their defaults are EDC's: nothing of the consumer's request passes (path, query, method, body) unless the
address says so. A sub-path that is not passed on is ignored, as EDC does. What passes is never re-encoded, because a
signature or an identifier may depend on its spelling; instead a path that any reader could understand as leaving the
base URL is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote, unquote_plus

from yarl import URL

from connector.dataplane.headers import EDC_AGREEMENT, EDC_BPN, FIELD_NAME, FIELD_VALUE, HOP_BY_HOP, fold
from connector.dataplane.source import Ask
from connector.http.guard import AddressPolicy
from connector.protocol.errors import Invalid, PeerError
from connector.protocol.transfer_messages import short_name

BACKENDS: Final = AddressPolicy(allow_loopback=True, allow_private=True, allow_http=True)
"""Backends are chosen by the operator, so they may be neighbours; cloud metadata services still may not."""
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PRINTABLE: Final = re.compile(r"[!-\"$-~]*")  # printable ASCII without the mark of a fragment
_DECODED_AT_MOST: Final = 4
_OURS: Final = frozenset({fold(EDC_BPN), fold(EDC_AGREEMENT)}) | HOP_BY_HOP | {fold("Content-Length")}


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials for a backend (`oauth2:...`); `secret_name` names the secret."""

    token_url: str
    client_id: str
    secret_name: str
    scope: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddress:
    """An HttpData address, understood. `base` is scheme, host and path without query and without trailing slash."""

    url: str
    base: str
    base_query: str = ""
    path: str = ""
    query: str = ""
    method: str = "GET"
    body: bytes | None = None
    content_type: str | None = None
    proxy_path: bool = False
    proxy_query: bool = False
    proxy_method: bool = False
    proxy_body: bool = False
    auth_key: str | None = None
    auth_code: str | None = field(default=None, repr=False)
    secret_name: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    oauth2: OAuth2 | None = None

    @classmethod
    def parse(cls, data_address: Mapping[str, str]) -> Self:
        """Read a data address, keys short or under EDC's namespace. Raise Invalid with the place of the fault."""
        given = {short_name(key): value for key, value in data_address.items()}
        url = given.get("baseUrl") or ""
        try:
            BACKENDS.check_url(url)
        except PeerError as fault:
            raise Invalid(fault.reason, "/dataAddress/baseUrl") from None
        base, _, base_query = url.partition("?")
        method = given.get("method", "GET").upper()
        if method not in METHODS:
            raise Invalid(f"the method must be one of {', '.join(METHODS)}", "/dataAddress/method", method)
        body = given.get("body")
        return cls(
            url=url,
            base=base.rstrip("/"),
            base_query=base_query,
            path=_own(given, "path"),
            query=_own(given, "queryParams").lstrip("?"),
            method=method,
            body=None if body is None else body.encode(),
            content_type=_own_header(given.get("contentType"), "contentType"),
            proxy_path=_flag(given, "proxyPath"),
            proxy_query=_flag(given, "proxyQueryParams"),
            proxy_method=_flag(given, "proxyMethod"),
            proxy_body=_flag(given, "proxyBody"),
            **_credentials(given),
            headers=tuple(_static_headers(given)),
            oauth2=_oauth2(given),
        )

    def secret_names(self) -> tuple[str, ...]:
        """The secrets that a request needs."""
        oauth2 = self.oauth2.secret_name if self.oauth2 else None
        return tuple(name for name in (self.secret_name, oauth2) if name)

    def target(self, ask: Ask) -> URL:
        """Where a consumer's request goes. Raise PeerError 400 for a path or query that must not pass."""
        path = checked_path(ask.path) if self.proxy_path else self.path
        rest = path.lstrip("/") if not self.proxy_path else path[1:]
        address = f"{self.base}/{rest}" if rest else self.url.partition("?")[0]
        query = "&".join(part for part in (self.base_query, self.query, self._asked_query(ask)) if part)
        return URL(f"{address}?{query}" if query else address, encoded=True)

    def _asked_query(self, ask: Ask) -> str:
        """The consumer's parameters, spelled as they were, without those that the operator has set."""
        if not (self.proxy_query and ask.query):
            return ""
        if not _PRINTABLE.fullmatch(ask.query):
            raise PeerError(400, "the query must be printable ASCII, percent-encoded")
        fixed = {_name(part) for own in (self.base_query, self.query) for part in own.split("&") if part}
        if not fixed:
            return ask.query
        return "&".join(part for part in ask.query.split("&") if _name(part) not in fixed)

    def public_location(self, location: str, public_url: str) -> str | None:
        """A backend's `Location` as the consumer can use it; None if it leads away from what this asset opens."""
        if not self.proxy_path:
            return None
        origin_path = URL(self.base, encoded=True).raw_path.rstrip("/")
        for base in (self.base, origin_path):
            rest = location[len(base) :]
            if location.startswith(base) and (not rest or rest[0] in "/?") and not location.startswith("//"):
                return _stays(public_url, rest)
        return None


def checked_path(raw: str) -> str:
    """A consumer's sub-path, as it is. Raise PeerError 400 if any way of reading it leads out of the base URL.

    A reader may decode once more than it should, take a backslash for a slash, or cut parameters off (`..;x`).
    """
    if not _PRINTABLE.fullmatch(raw) or (raw and raw[0] != "/"):
        raise PeerError(400, "the path must begin with a slash and be printable ASCII, percent-encoded")
    if "." not in raw and "%" not in raw and "\\" not in raw:
        return raw
    read = raw
    for _ in range(_DECODED_AT_MOST):
        segments = [segment.partition(";")[0].strip() for segment in read.replace("\\", "/").split("/")]
        if not {".", ".."}.isdisjoint(segments) or any(ord(letter) < ord(" ") for letter in read):
            raise PeerError(400, "the path must not contain dot segments or control characters")
        decoded = unquote(read)
        if decoded == read:
            return raw
        read = decoded
    raise PeerError(400, "the path is percent-encoded too many times")


def _stays(public_url: str, rest: str) -> str | None:
    try:
        return public_url + checked_path(rest.partition("?")[0]) + "".join(rest.partition("?")[1:])
    except PeerError:
        return None


def _name(parameter: str) -> str:
    return unquote_plus(parameter.partition("=")[0])


def _own(given: Mapping[str, str], key: str) -> str:
    value = given.get(key, "")
    if not _PRINTABLE.fullmatch(value):
        raise Invalid("must be printable ASCII without '#', percent-encoded", f"/dataAddress/{key}", value)
    return value


def _flag(given: Mapping[str, str], key: str) -> bool:
    value = str(given.get(key, "false")).lower()
    if value not in {"true", "false"}:
        raise Invalid('must be "true" or "false"', f"/dataAddress/{key}", value)
    return value == "true"


def _own_header(value: str | None, key: str) -> str | None:
    if value is not None and not FIELD_VALUE.fullmatch(value):
        raise Invalid("is not a value that an HTTP header can carry", f"/dataAddress/{key}")
    return value


def _static_headers(given: Mapping[str, str]) -> list[tuple[str, str]]:
    found = []
    for key, value in given.items():
        if key.startswith("header:"):
            name = key.removeprefix("header:")
            if not FIELD_NAME.fullmatch(name) or fold(name) in _OURS:
                raise Invalid("is not a header that an address can set", f"/dataAddress/{key}")
            found.append((name, _own_header(value, key) or ""))
    return found


def _credentials(given: Mapping[str, str]) -> dict[str, str | None]:
    key, code, secret = given.get("authKey"), given.get("authCode"), given.get("secretName")
    if key is None and (code or secret):
        raise Invalid("authCode and secretName need an authKey, the name of a header", "/dataAddress/authKey")
    if key is not None and not FIELD_NAME.fullmatch(key):
        raise Invalid("must be the name of a header", "/dataAddress/authKey", key)
    if key is not None and not (code or secret):
        raise Invalid("needs an authCode or a secretName", "/dataAddress/authKey", key)
    return {"auth_key": key, "auth_code": _own_header(code, "authCode"), "secret_name": None if code else secret}


def _oauth2(given: Mapping[str, str]) -> OAuth2 | None:
    if "oauth2:tokenUrl" not in given:
        return None
    for key in ("oauth2:clientId", "oauth2:clientSecretKey"):
        if not given.get(key):
            raise Invalid("oauth2:tokenUrl needs it", f"/dataAddress/{key}")
    try:
        BACKENDS.check_url(given["oauth2:tokenUrl"])
    except PeerError as fault:
        raise Invalid(fault.reason, "/dataAddress/oauth2:tokenUrl") from None
    return OAuth2(
        given["oauth2:tokenUrl"], given["oauth2:clientId"], given["oauth2:clientSecretKey"], given.get("oauth2:scope")
    )
