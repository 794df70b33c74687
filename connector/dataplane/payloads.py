"""Payloads of the passport store: what was validated and signed when it was published, checked again before it leaves.

A database can be edited, restored or half-migrated past the publishing code. So the bytes are hashed against the digest
of that time, and validated against the aspect model as it is known now; if either does not hold, no data leaves. The
hash is computed whenever the bytes are read from the database, the validation once per digest.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from threading import Lock
from typing import Final

import orjson
import structlog
from multidict import CIMultiDict
from typing_extensions import override

from connector.dataplane.recent import Recent
from connector.dataplane.source import Ask, Content, Prepared, Reader, Source, SourceFault, only_read
from connector.exchange.ports import Tx
from connector.exchange.records import Asset, Payload
from connector.passport.signature import digest
from connector.passport.verification import CONTENT_DIGEST, PAYLOAD_SEMANTIC_ID, PAYLOAD_SIGNATURE
from connector.protocol.errors import LocalError

_REFUSED: Final = "the stored payload does not pass its own checks, so it is not given out; ask the provider"
Validate = Callable[[str, object], None]
"""Checks a payload against the aspect model of a semantic id; raises Invalid (`semantics.validation.validate`)."""
_log = structlog.get_logger(__name__)


class PayloadSource(Source):
    """Assets whose payload was published under their own id (`dataAddress.type` PassportStore)."""

    def __init__(self, validate: Validate) -> None:
        self._validate = validate
        self._valid: Recent[tuple[str, str], bool] = Recent(10_000)
        self._lock = Lock()  # a store may read in several threads

    @override
    def prepare(self, tx: Tx, asset: Asset, reader: Reader) -> Prepared:
        payload = tx.payloads.find(asset.id)
        if payload is None:
            raise SourceFault("there is no payload for this asset")
        if fault := self._fault(asset, payload):
            _log.error("payload refused", asset=asset.id, reason=fault)
            raise SourceFault(_REFUSED)
        return Prepared(_Sealed(payload).open, weight=1024 + len(payload.body))

    def _fault(self, asset: Asset, payload: Payload) -> str:
        """What speaks against giving a payload out; "" if nothing does."""
        if digest(payload.body) != payload.digest:
            return "the stored bytes are not those that were published"
        if asset.semantic_id != payload.semantic_id:
            return f"the asset offers {asset.semantic_id}, the payload is {payload.semantic_id}"
        key = (payload.semantic_id, payload.digest)
        with self._lock:
            if self._valid.get(key):
                return ""
        try:
            self._validate(payload.semantic_id, orjson.loads(payload.body))
        except (LocalError, orjson.JSONDecodeError) as fault:
            return str(fault)
        with self._lock:
            self._valid.put(key, value=True)
        return ""


class _Sealed:
    """A payload with the fields that let a consumer verify it, also without us."""

    def __init__(self, payload: Payload) -> None:
        self._body = payload.body
        self._etag = f'"{payload.digest.strip(":").rpartition(":")[2]}"'
        self._fields = {
            "Content-Type": "application/json",
            "ETag": self._etag,
            CONTENT_DIGEST: payload.digest,
            PAYLOAD_SIGNATURE: payload.signature,
            PAYLOAD_SEMANTIC_ID: payload.semantic_id,
        }

    def open(self, ask: Ask) -> AbstractAsyncContextManager[Content]:
        """The whole payload; a path or query after the public URL means nothing here."""
        only_read(ask)
        if matches(ask.headers.get("If-None-Match", ""), self._etag):
            return nullcontext(Content(304, CIMultiDict({"ETag": self._etag})))
        return nullcontext(Content(200, CIMultiDict(self._fields), body=self._body))


def matches(field: str, etag: str) -> bool:
    """Tell whether an If-None-Match names the entity tag (RFC 9110, 13.1.2: compared weakly)."""
    return field.strip() == "*" or etag in {part.strip().removeprefix("W/") for part in field.split(",")}
