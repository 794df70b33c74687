"""Judges a policy for a counterparty, and says why (ODRL 2.2, section 2.6; semantics of EDC's policy engine).

Three-valued: a constraint is true, false, or cannot be checked, joined by Kleene's rules. Only "true" permits.

    no rules at all   permitted
    permission        every permission must hold (EDC's reading), each with all of its constraints
    prohibition       denies when its constraints are all true, and also when nobody can tell
    obligation        its constraints must be true (a date after which provisioning ends); without constraints it is
                      about later conduct, not about access. Later conduct is not checked here.

What the connector does not understand denies: an operand, an operator, an action other than use and access in a
permission, members such as a duty or a refinement (remedy and consequence apply after a breach and are no condition).
EDC drops what it does not understand, so there the same policy opens the data.

What is waived (`circumstances.Waiver`) counts as it is wanted: as fulfilled in a permission or an obligation, as not
fulfilled in a prohibition.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from connector.policy.circumstances import Circumstances, Counterparty, Finding, Scope, Waiver
from connector.policy.ending import ends_at
from connector.policy.model import Condition, Constraint, Policy, Rule
from connector.policy.operands import operand_of
from connector.policy.vocabulary import operand_name
from connector.policy.wording import cut, describe, operands_in

__all__ = ["Circumstances", "Counterparty", "Scope", "TraceStep", "Verdict", "ends_at", "evaluate"]

_Part: TypeAlias = Literal["permission", "prohibition", "obligation"]
Outcome: TypeAlias = Literal["met", "unmet", "unknown"] | Waiver
"""The verdict on one constraint: fulfilled, not fulfilled, cannot be checked, or why that was waived."""
TRACED: Final = 50
"""Steps of a judgement that are kept or shown, unless more are asked for; a policy may have thousands."""
_WAIVED: Final[Mapping[Waiver, str]] = {
    "later": "is left open for now",
    "earlier": "stands as it was found before",
    "legal": "is legal text",
}
_PARTS: Final[tuple[_Part, ...]] = ("permission", "prohibition", "obligation")
_GRANTED: Final = frozenset({"use", "access"})
_HARMLESS: Final = frozenset({"@id", "@type", "remedy", "consequence", "failure"})
_NOT_UNDERSTOOD: Final = "it has members that are not understood"
_UNCONDITIONAL: Final[Mapping[_Part, str]] = {
    "permission": "is permitted without condition",
    "prohibition": "is forbidden without condition",
    "obligation": "is owed later, which is no condition of access",
}


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One thing that was judged: a condition at `pointer` (RFC 6901, in `Policy.to_json`), or a rule as a whole.

    found: completes the sentence, see `Finding`; for a rule as a whole it is the sentence.
    waived: `truth` is what is wanted and nothing was checked.
    """

    pointer: str
    condition: Condition | None
    truth: bool | None
    found: str
    waived: Waiver | None = None

    @property
    def text(self) -> str:
        """The whole sentence, for our operator."""
        label = self._label()
        if self.condition is None:
            return f"{label}{self.found}"
        said = describe(self.condition)
        if self.waived is not None:
            return f"{label}{said} {_WAIVED[self.waived]}: {self.found}"
        if self.truth is None:
            return f"{label}{said} cannot be checked: {self.found}"
        outcome = "is met" if self.truth else "is not met"
        forbids = ", which is forbidden" if self.truth and self.pointer.startswith("/prohibition") else ""
        return f"{label}{said} {outcome} {self.found}".rstrip() + forbids

    @property
    def public(self) -> str:
        """What a stranger may be told: which operand, none of the values."""
        label = self._label()
        if self.condition is None:
            return f"{label}the rule cannot be fulfilled here"
        names = cut(", ".join(operands_in(self.condition)) or "nothing")
        if self.truth is None:
            return f"{label}the condition on {names} cannot be checked"
        return f"{label}the condition on {names} {'forbids it' if self.truth else 'is not met'}"

    @property
    def outcome(self) -> Outcome:
        """The verdict on this one thing."""
        if self.waived is not None:
            return self.waived
        return "unknown" if self.truth is None else "met" if self.truth else "unmet"

    def to_json(self) -> dict[str, Any]:
        """What was needed, what was found, and the verdict; for our operator only."""
        needed = {} if self.condition is None else {"needed": describe(self.condition)}
        return {
            "pointer": self.pointer,
            **needed,
            "found": self.found,
            "outcome": self.outcome,
            "truth": self.truth,
            "text": self.text,
        }

    def _label(self) -> str:
        _, part, *index = self.pointer.split("/")[:3] if self.pointer else ("", "policy")
        return f"{part} {int(index[0]) + 1}: " if index else f"{part}: "


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement with its reasons; `trace` has one step for each thing judged, `denial` is the first that denies."""

    permitted: bool
    trace: tuple[TraceStep, ...]
    denial: TraceStep | None = None

    @property
    def reason(self) -> str:
        """One line for our operator. It quotes our policy, so it stays in the house."""
        if self.denial is not None:
            return self.denial.text
        return "every condition is met" if self.trace else "the policy has no conditions"

    @property
    def public_reason(self) -> str:
        """One line for the counterparty: names what failed, never our lists."""
        return "permitted" if self.denial is None else self.denial.public

    def to_json(self, *, at_most: int = TRACED) -> dict[str, Any]:
        """The judgement for our operator, with at most so many steps of its trace."""
        more = {} if len(self.trace) <= at_most else {"more": len(self.trace) - at_most}
        steps = [step.to_json() for step in self.trace[:at_most]]
        return {"permitted": self.permitted, "reason": self.reason, "trace": steps, **more}


def evaluate(policy: Policy, circumstances: Circumstances) -> Verdict:
    """Judge a whole policy. Every rule is judged, so that the trace is complete even if the first one denies."""
    trace: list[TraceStep] = []
    denials: list[TraceStep] = []
    if policy.rest and (unknown := [name for name in _unknown(policy.rest) if ":" not in name]):
        step = TraceStep("", None, None, f"{_NOT_UNDERSTOOD}: {cut(', '.join(unknown))}")
        trace.append(step)
        denials.append(step)
    for part in _PARTS:
        for index, rule in enumerate(getattr(policy, part)):
            judge = _RuleJudge(part, f"/{part}/{index}", circumstances, trace)
            if (denial := judge.rule(rule)) is not None:
                denials.append(denial)
    return Verdict(not denials, tuple(trace), denials[0] if denials else None)


_Judged: TypeAlias = tuple[TraceStep, TraceStep]
"""The step of a condition, and the step to blame if the condition is not as it must be."""


class _RuleJudge:
    """Judges one rule, and writes each step into the trace of the verdict."""

    __slots__ = ("_at", "_circumstances", "_part", "_trace", "_wanted")

    def __init__(self, part: _Part, at: str, circumstances: Circumstances, trace: list[TraceStep]) -> None:
        self._part = part
        self._at = at
        self._circumstances = circumstances
        self._trace = trace
        self._wanted = part != "prohibition"

    def rule(self, rule: Rule) -> TraceStep | None:
        """Judge the rule; return the step that denies, or None."""
        if rule.rest and (unknown := _unknown(rule.rest)):
            return self._whole(f"{_NOT_UNDERSTOOD}: {cut(', '.join(unknown))}", truth=None)
        action = cut(rule.action)
        if self._part == "permission" and action not in _GRANTED:
            return self._whole(f"the action {action} is not understood, only use and access are", truth=None)
        if not rule.constraints:
            step = self._whole(f"{action} {_UNCONDITIONAL[self._part]}", truth=True)
            return None if self._wanted else step
        return self._constraints(rule, action)

    def _constraints(self, rule: Rule, action: str) -> TraceStep | None:
        judged = [self._judge(c, f"{self._at}/constraint/{i}") for i, c in enumerate(rule.constraints)]
        truth = _JOIN["and"]([step.truth for step, _ in judged])
        if truth is self._wanted:
            return None
        if (blame := self._blame("and", judged)) is not None:
            return blame
        if len(judged) == 1:
            return judged[0][1]
        return self._whole(f"{action} is forbidden, because all of its conditions are met", truth=True)

    def _whole(self, said: str, *, truth: bool | None) -> TraceStep:
        step = TraceStep(self._at, None, truth, said)
        self._trace.append(step)
        return step

    def _judge(self, condition: Condition, at: str) -> _Judged:
        if isinstance(condition, Constraint):
            finding = self._finding(condition)
            truth = finding.truth if finding.waived is None else self._wanted
            step = TraceStep(at, condition, truth, finding.found, finding.waived)
            self._trace.append(step)
            return step, step
        place = len(self._trace)
        judged = [self._judge(o, f"{at}/{condition.operator}/{i}") for i, o in enumerate(condition.operands)]
        truth = _JOIN[condition.operator]([step.truth for step, _ in judged])
        found = dict.fromkeys(step.found for step, _ in judged if step.truth is truth or condition.operator == "xone")
        if condition.rest and _unknown(condition.rest):
            truth, found = None, dict.fromkeys([_NOT_UNDERSTOOD])
        step = TraceStep(at, condition, truth, cut("; ".join(found)))
        self._trace.insert(place, step)
        return step, self._blame(condition.operator, judged) or step

    def _finding(self, constraint: Constraint) -> Finding:
        if constraint.rest and _unknown(constraint.rest):
            return Finding(None, _NOT_UNDERSTOOD)
        name = operand_name(constraint.left)
        operand = operand_of(name)
        if operand is None:
            return Finding(None, f"the operand {cut(name)} is not known")
        return operand(constraint, self._circumstances)

    def _blame(self, operator: str, judged: list[_Judged]) -> TraceStep | None:
        """The first operand that alone explains why the whole is not as wanted; None if only the whole explains it."""
        if operator == "xone":
            return None
        enough = (operator == "or") is not self._wanted  # one operand that is not as wanted decides
        for step, blame in judged:
            if step.truth is not self._wanted and (enough or (step.truth is None and not self._wanted)):
                return blame
        return None


def _and(truths: list[bool | None]) -> bool | None:
    return False if False in truths else None if None in truths else True


def _or(truths: list[bool | None]) -> bool | None:
    return True if True in truths else None if None in truths else False


def _xone(truths: list[bool | None]) -> bool | None:
    if truths.count(True) > 1:
        return False
    return None if None in truths else True in truths


_JOIN: Final = {"and": _and, "andSequence": _and, "or": _or, "xone": _xone}


def _unknown(rest: str) -> list[str]:
    return [name for name in json.loads(rest) if name not in _HARMLESS]
