"""Which aspect models the data of partners has: what their catalogs said as they passed through this node.

Data need not say itself what it is, and then the catalog is the only one that does (`aas-semantics:semanticId` of the
dataset). It has been read by whoever made the contract, so that remembering it costs no request later. Kept in memory:
whatever is forgotten can be asked for again (`connector.exchange.fetch`).
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from connector.protocol.catalog import semantic_id_in
from connector.protocol.reading import MAX_TEXT

NOBODY_SAYS: Final = ""
"""What is told of a dataset that names no model."""
_ROOM: Final = 4096
_HOLDS_MS: Final = 15 * 60_000
"""How long a catalog's word counts: an asset may get another model."""


class OfferedModels:
    """The semantic ids of datasets, by provider and dataset; the latest word counts."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def read(self, provider_id: str, doc: Mapping[str, Any], now: int) -> None:
        """Take note of a catalog, or of a dataset; what has another form is passed over. now: ms since the epoch."""
        rows = next((doc[key] for key in ("dataset", "dcat:dataset") if key in doc), doc)
        for row in rows if isinstance(rows, list) else [rows]:
            if isinstance(row, dict) and isinstance(ident := row.get("@id"), str) and len(ident) <= MAX_TEXT:
                self.note(provider_id, ident, semantic_id_in(row) or NOBODY_SAYS, now)

    def note(self, provider_id: str, dataset_id: str, semantic_id: str, now: int) -> None:
        """Remember one; NOBODY_SAYS is an answer, too."""
        self._said[provider_id, dataset_id] = semantic_id, now
        self._said.move_to_end((provider_id, dataset_id))
        while len(self._said) > _ROOM:
            self._said.popitem(last=False)

    def told(self, provider_id: str, dataset_id: str, now: int) -> str | None:
        """The semantic id, NOBODY_SAYS if there is none, or None if we have not heard of the dataset lately."""
        semantic_id, at = self._said.get((provider_id, dataset_id), (None, now))
        return semantic_id if now - at < _HOLDS_MS else None
