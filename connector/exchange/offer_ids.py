"""The id of an offer in our catalog: which definition, which asset, which terms.

Three parts joined by `:`, each percent-encoded so that ids with colons survive: definition, asset, fingerprint of the
terms. Peers echo the id unchanged; it changes with the terms, so a stale one can be told from a current one. There is
no table of offers: the parts are enough to work the terms out again.
"""

from urllib.parse import quote, unquote

_PARTS = 3
_FINGERPRINT = 16


def offer_id(definition_id: str, asset_id: str, fingerprint: str) -> str:
    """The id under which `asset_id` is offered by `definition_id`; `fingerprint` is that of the contract policy."""
    return ":".join((quote(definition_id, safe=""), quote(asset_id, safe=""), fingerprint[:_FINGERPRINT]))


def definition_of(offer: str) -> tuple[str, str] | None:
    """(definition id, asset id) of an offer id of ours; None if it is not one."""
    parts = offer.split(":")
    if len(parts) != _PARTS:
        return None
    return unquote(parts[0]), unquote(parts[1])
