"""Passports: each reader gets its own view, worked out when its access is opened and signed for it.

A plain GET gives the plain aspect, as any consumer of the data space expects it, with digest and detached signature in
header fields; so do the paths that clients of submodels append. `/credential?nonce=...` gives the same fields as a
presentation of the passport credential, made out for this reader, this nonce and this agreement. Which fields those are
is `exchange.passport_views`' to say. Nothing about a passport is remembered here beyond the access that it is part of,
and every new version ends that.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final
from urllib.parse import parse_qs

import structlog
from multidict import CIMultiDict
from typing_extensions import override

from connector.dataplane.payloads import matches
from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, SourceFault, only_read
from connector.exchange.passport_views import View, newest, reading_under, view_of
from connector.exchange.ports import Clock, Notary, Tx
from connector.exchange.records import Asset
from connector.passport.verification import (
    CONTENT_DIGEST,
    PAYLOAD_DISCLOSURE,
    PAYLOAD_SEMANTIC_ID,
    PAYLOAD_SIGNATURE,
)
from connector.protocol.errors import LocalError, PeerError

CREDENTIAL: Final = "/credential"
MEDIA_TYPE: Final = "application/dc+sd-jwt"
_PLAIN: Final = frozenset({"", "/", "/$value", "/submodel", "/submodel/$value"})
_MAX_NONCE: Final = 256
_log = structlog.get_logger(__name__)


class PassportSource(Source):
    """Assets that are passports. notary: of this node; it signs every view."""

    def __init__(self, notary: Notary, clock: Clock) -> None:
        self._notary = notary
        self._clock = clock

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        version = newest(tx, asset.id)
        agreement = tx.agreements.find(reader.agreement_id)
        if version is None or agreement is None:
            raise SourceFault("there is no passport for this asset")
        try:
            view = view_of(self._notary, version, reading_under(tx, agreement.id, reader.bpn))
        except LocalError as fault:
            _log.error("view of a passport refused", asset=asset.id, reason=str(fault))
            raise SourceFault("the passport does not pass its own checks, so it is not given out") from fault
        shown = _Shown(view, self._present(view, agreement.consumer_id, agreement.id))
        return Prepared(shown.open, weight=2048 + len(view.seal.body) + len(view.presentation.text))

    def _present(self, view: View, audience: str, agreement_id: str) -> Callable[[str], str]:
        def present(nonce: str) -> str:
            now = self._clock.now()
            bound = self._notary.bind(
                view.presentation, audience=audience, nonce=nonce, agreement_id=agreement_id, now=now
            )
            return bound.text

        return present


class _Shown:
    """One view, ready for one reader."""

    def __init__(self, view: View, present: Callable[[str], str]) -> None:
        self._body = view.seal.body
        self._present = present
        self._etag = f'"{view.seal.digest.strip(":").rpartition(":")[2]}"'
        self._fields = {
            "Content-Type": "application/json",
            "ETag": self._etag,
            CONTENT_DIGEST: view.seal.digest,
            PAYLOAD_SIGNATURE: view.seal.signature,
            PAYLOAD_SEMANTIC_ID: view.version.semantic_id,
            PAYLOAD_DISCLOSURE: " ".join(sorted(view.classes)),
        }

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """The plain aspect, or the presentation."""
        only_read(ask)
        if ask.path == CREDENTIAL:
            return nullcontext(self._credential(ask.query))
        if ask.path not in _PLAIN:
            raise PeerError(404, f"a passport has no such part: ask for the address itself, or for {CREDENTIAL}")
        if matches(ask.headers.get("If-None-Match", ""), self._etag):
            return nullcontext(Content(304, CIMultiDict({"ETag": self._etag})))
        return nullcontext(Content(200, CIMultiDict(self._fields), body=self._body))

    def _credential(self, query: str) -> Content:
        nonces = parse_qs(query, max_num_fields=16).get("nonce", [])
        if len(nonces) != 1 or len(nonces[0]) > _MAX_NONCE:
            raise PeerError(
                400, f"a credential is made out for one nonce: add ?nonce= ({_MAX_NONCE} characters at most)"
            )
        body = self._present(nonces[0]).encode("ascii")
        return Content(200, CIMultiDict({"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"}), body=body)
