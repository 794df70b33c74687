"""Whether a payload fits the aspect model that it is said to have: a verdict each time, also where there can be none.

A consumer is told in every case: it fits; it does not, at these places for these reasons; nobody here knows the model;
or nobody has looked, and why. Silence would be taken for a yes. A verdict is remembered by the digest of the bytes, so
that data which has not changed is hashed and not judged again.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, Self

from connector.passport.canonical import parse
from connector.passport.views import read_classes, view_faults
from connector.protocol.errors import ConnectorError
from connector.semantics.registry import SchemaRegistry
from connector.semantics.validation import Fault, faults

_REMEMBERED: Final = 256
_IN_A_THREAD: Final = 64 << 10
"""Bytes from which on judging would hold up others for a millisecond."""


class Fit(Enum):
    """The verdicts."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN_MODEL = "unknown model"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """One verdict. `reason` is for people; `faults` has each place (JSON pointer) if it is INVALID.

    `semantic_id` is the model that it was held to, None if there is none; `named_by` is who says that it is this one:
    the request, the payload, the catalog or the twin.
    """

    fit: Fit
    reason: str
    semantic_id: str | None = None
    faults: tuple[Fault, ...] = ()
    named_by: str | None = None

    @classmethod
    def skipped(cls, reason: str) -> Self:
        """Nobody has looked."""
        return cls(Fit.NOT_CHECKED, reason)

    def to_json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "verdict": self.fit.value,
            "reason": self.reason,
            "semanticId": self.semantic_id,
            "namedBy": self.named_by,
            "faults": [{"pointer": fault.pointer, "message": fault.message} for fault in self.faults],
        }


def check_model(
    body: bytes, semantic_id: str, registry: SchemaRegistry, *, declared: str | None = None, shown: str | None = None
) -> ModelCheck:
    """Judge a body; never raises for what a peer sent.

    declared: what the sender says that it is. shown: the disclosure classes that a view of a passport is made of, apart
    by spaces (`Payload-Disclosure`); None for what is whole.
    """
    if declared not in (None, semantic_id):
        reason = f"the payload is declared as {str(declared)[:200]}; agreed was {semantic_id[:200]}"
        return ModelCheck(Fit.INVALID, reason, semantic_id)
    try:
        value = parse(body)
    except ConnectorError as fault:
        return ModelCheck(Fit.INVALID, fault.reason, semantic_id, (Fault("", fault.reason),))
    try:
        if shown is None:
            found, how = faults(semantic_id, value, registry), ""
        else:
            found, how = view_faults(semantic_id, value, read_classes(shown), registry), f", showing {shown[:200]}"
    except ConnectorError as fault:
        return ModelCheck(Fit.UNKNOWN_MODEL, fault.reason, semantic_id)
    if found:
        more = "" if len(found) == 1 else f" (the first of {len(found)} faults)"
        return ModelCheck(Fit.INVALID, f"{found[0].text}{more}", semantic_id, found)
    return ModelCheck(Fit.VALID, f"fits {semantic_id}{how}", semantic_id)


class ModelChecks:
    """The verdicts by the models of one registry, remembered."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._known: OrderedDict[tuple[object, ...], ModelCheck] = OrderedDict()

    async def of(
        self, body: bytes, semantic_id: str, *, declared: str | None = None, shown: str | None = None
    ) -> ModelCheck:
        """As `check_model`."""
        key = (semantic_id, declared, shown, hashlib.sha256(body).digest())
        known = self._known.pop(key, None)
        if known is None:
            judge = partial(check_model, body, semantic_id, self._registry, declared=declared, shown=shown)
            known = await asyncio.to_thread(judge) if len(body) >= _IN_A_THREAD else judge()
        self._known[key] = known
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known
