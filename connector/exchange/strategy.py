"""Who acts next: the plug-in point of the exchange.

After every change of state a strategy is asked once, inside the transaction that made the change, and its decision is
committed with it. So a strategy is a plain function of what it sees; one that needs a person, a database or an ERP
system answers `Hold`, and whoever decides goes on through the management API. `after_ms` delays a decision: it is kept
as a timer and dropped if the other side moves first.

Name one in the configuration as `package.module:Class`; its constructor takes no arguments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from typing_extensions import override

from connector.policy.circumstances import Counterparty
from connector.policy.evaluate import Verdict
from connector.policy.model import Policy
from connector.protocol import negotiation, transfer
from connector.protocol.process import Role


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `act` is an `Act`; the other members are arguments of single acts."""

    act: str
    after_ms: int = 0
    policy: Policy | None = None
    code: str | None = None
    reasons: tuple[str, ...] = ()


class Act:
    """The acts a decision can name."""

    HOLD: Final = "hold"
    AGREE: Final = "agree"
    OFFER: Final = "offer"
    REQUEST: Final = "request"
    ACCEPT: Final = "accept"
    VERIFY: Final = "verify"
    FINALIZE: Final = "finalize"
    TERMINATE: Final = "terminate"
    START: Final = "start"
    SUSPEND: Final = "suspend"
    COMPLETE: Final = "complete"


HOLD: Final = Decision(Act.HOLD)


def terminate(*reasons: str, code: str | None = None, after_ms: int = 0) -> Decision:
    """End the process, telling the peer why: `reasons` leave the house."""
    return Decision(Act.TERMINATE, after_ms, code=code, reasons=reasons)


@dataclass(frozen=True, slots=True)
class NegotiationView:
    """What a negotiation strategy sees. `event` led here, `ours` says whether it was our message, now acknowledged."""

    role: Role
    state: negotiation.State
    event: negotiation.Event
    ours: bool
    id: str
    counterparty: Counterparty
    offer: Policy
    terms: Policy | None
    """What `offer` is measured by: our contract policy (provider), what we asked for last (consumer), else None."""
    difference: str | None
    """Where `offer` departs from `terms`; None if it does not, or if there are no terms."""
    judge: Callable[[], Verdict]
    """Evaluates the offer's usage policy for the counterparty, now."""


@dataclass(frozen=True, slots=True)
class TransferView:
    """What a transfer strategy sees; `event` and `ours` as in NegotiationView."""

    role: Role
    state: transfer.State
    event: transfer.Event
    ours: bool
    id: str
    counterparty: Counterparty
    agreement_id: str
    asset_id: str
    format: str
    judge: Callable[[], Verdict]
    """Evaluates the agreement's policy for the counterparty, now."""


class NegotiationStrategy(Protocol):
    """Decides the next step of contract negotiations."""

    def decide(self, view: NegotiationView) -> Decision:
        """The next step: agree, offer, request (a counter-offer), accept, verify, finalize, terminate or hold."""
        ...


class TransferStrategy(Protocol):
    """Decides the next step of transfers."""

    def decide(self, view: TransferView) -> Decision:
        """The next step: start, suspend, complete, terminate or hold."""
        ...


class AutomaticNegotiation(NegotiationStrategy):
    """The default: goes on by itself wherever policy allows, ends what it does not, holds what only a person can judge.

    A provider agrees to its own terms and to nothing else. A consumer accepts what it asked for; an offer it never
    asked for is held.
    """

    @override
    def decide(self, view: NegotiationView) -> Decision:
        if view.ours:
            return HOLD
        return self._provider(view) if view.role is Role.PROVIDER else self._consumer(view)

    @staticmethod
    def _provider(view: NegotiationView) -> Decision:
        if view.event is negotiation.Event.VERIFY:
            return Decision(Act.FINALIZE)
        if view.event not in (negotiation.Event.REQUEST, negotiation.Event.ACCEPT):
            return HOLD
        if view.terms is None:
            return terminate("the offer is no longer available: ask for the catalog again")
        if view.difference is not None:
            return terminate(f"the terms are not those offered: {view.difference}")
        verdict = view.judge()
        return Decision(Act.AGREE) if verdict.permitted else terminate(verdict.public_reason)

    @staticmethod
    def _consumer(view: NegotiationView) -> Decision:
        if view.event is negotiation.Event.AGREE:
            return Decision(Act.VERIFY)
        if view.event is not negotiation.Event.OFFER or view.terms is None:
            return HOLD
        if view.difference is not None:
            return terminate(f"the offer is not what was asked for: {view.difference}")
        return Decision(Act.ACCEPT)


class AutomaticTransfer(TransferStrategy):
    """The default: a provider starts what the agreement allows and answers a consumer's resumption with a new start."""

    @override
    def decide(self, view: TransferView) -> Decision:
        asked = view.event in (transfer.Event.REQUEST, transfer.Event.START)
        if view.ours or view.role is Role.CONSUMER or not asked:
            return HOLD
        verdict = view.judge()
        return Decision(Act.START) if verdict.permitted else terminate(verdict.public_reason)


class Manual(NegotiationStrategy, TransferStrategy):
    """Holds everything for a person, who decides through the management API."""

    @override
    def decide(self, view: NegotiationView | TransferView) -> Decision:
        return HOLD
